"""The engine's process: `python -m lmc.engine`. It ends when its standard input closes, so also with who started it.

On standard output it says one line of JSON: `{"state": "ready"}`, `{"state": "joined"}` if the store has an engine
already, or `{"error": …}`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import json
import logging
import logging.handlers
import os
import signal
import sys
import threading
from collections.abc import Sequence

from lmc.engine.connection import LOG, engine_folder, engine_lock
from lmc.errors import InputError, StoreError
from lmc.store import Store


def main(argv: Sequence[str] | None = None) -> int:
    """Serve one store until standard input closes; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m lmc.engine", description=__doc__, allow_abbrev=False)
    parser.add_argument("--store", metavar="DIR", help="folder of networks and results")
    parser.add_argument("--workers", type=int, help="worker processes (default: as the machine is)")
    options = parser.parse_args(argv)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is meant for the app, whose end is ours
    try:
        store = Store(options.store)
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(engine_lock(store))
            except TimeoutError:
                _say(state="joined")
                return 0
            import distributed  # noqa: F401 - it sets up logging anew, so before ours; what it says goes to stderr

            _log_to_file(store)
            return asyncio.run(_serve(store, options.workers))
    except (StoreError, InputError, OSError) as error:
        logging.getLogger("lmc.engine").error("%s", error)
        _say(error=str(error))
        return 2


async def _serve(store: Store, workers: int | None) -> int:
    from distributed.security import Security

    from lmc.engine.cluster import open_cluster
    from lmc.engine.coordinator import Coordinator
    from lmc.engine.server import Listening
    from lmc.limits import limits

    ended = _ended_with_stdin()
    log = logging.getLogger("lmc.engine")
    warm = asyncio.create_task(asyncio.to_thread(importlib.import_module, "torch"))  # the first run would wait for it
    async with open_cluster(os.environ.get("LMC_SCHEDULER"), workers) as cluster:
        key = Security.temporary()
        coordinator = Coordinator(cluster, store, limits())
        pem = f"{key.tls_client_cert}{key.tls_client_key}"
        listening = Listening(coordinator, engine_folder(store), pem, os.getpid())
        watch = asyncio.create_task(coordinator.watch())
        log.info("ready: %s", os.environ.get("LMC_SCHEDULER") or "workers of its own")
        _say(state="ready")
        try:
            await ended.wait()
        finally:
            watch.cancel()
            warm.cancel()
            listening.close()
    return 0


def _ended_with_stdin() -> asyncio.Event:
    """Set when standard input closes or the process is asked to end."""
    ended, loop = asyncio.Event(), asyncio.get_running_loop()

    def wait() -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stdin.buffer.read()
        with contextlib.suppress(RuntimeError):  # the loop has ended already
            loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=wait, daemon=True).start()
    with contextlib.suppress(NotImplementedError):  # Windows
        loop.add_signal_handler(signal.SIGTERM, ended.set)
    return ended


def _log_to_file(store: Store) -> None:
    handler = logging.handlers.RotatingFileHandler(engine_folder(store) / LOG, maxBytes=2**20, backupCount=1)
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(message)s"))
    logger = logging.getLogger("lmc.engine")
    logger.setLevel(os.environ.get("LMC_LOG", "INFO"))
    logger.addHandler(handler)


def _say(**what: str) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    sys.exit(main())
