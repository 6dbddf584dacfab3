"""`python -m lmc runs`: the results of the store."""

from __future__ import annotations

from typing import Any

from lmc.cli.options import add_store
from lmc.listing import run_lines
from lmc.progress import ProgressFile
from lmc.store import Store


def add(commands: Any) -> None:
    """The command `runs`."""
    one = commands.add_parser("runs", help="list the results of the store", allow_abbrev=False)
    add_store(one)
    one.set_defaults(command=_list)


def _list(options: dict[str, Any], _: ProgressFile | None) -> int:
    print("\n".join(run_lines(Store(options["store"]))))
    return 0
