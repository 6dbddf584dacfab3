"""Worker processes that begin with what every run needs already imported: they are forked from one that did it once.

Only where forking is safe; elsewhere every worker imports for itself. Nothing is computed before the fork, as torch's
threads would not survive it.
"""

from __future__ import annotations

import multiprocessing.forkserver
import os
import sys
from collections.abc import Mapping
from typing import Any
from unittest import mock

NEEDED = ("distributed", "torch", "torch.export._trace", "scipy.optimize", "sklearn.datasets", "lmc.engine.tasks")
"""What cannot be imported is passed over."""
SETTINGS: dict[str, Any] = (
    {"distributed.worker.multiprocessing-method": "forkserver"} if sys.platform == "linux" else {}
)


def prepare(environment: Mapping[str, str]) -> None:
    """Start the process that workers are forked from; `environment` is read by what it imports."""
    if not SETTINGS:
        return
    from distributed.utils import get_mp_context

    get_mp_context().set_forkserver_preload(list(NEEDED))
    with mock.patch.dict(os.environ, environment):
        multiprocessing.forkserver.ensure_running()
