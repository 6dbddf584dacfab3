"""The engine's ear: JSON over HTTPS on the loopback, for who has its certificate."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from lmc.engine.cluster import HOST
from lmc.engine.connection import ADDRESS, KEY, tls_context, write_private
from lmc.engine.coordinator import Coordinator, config_from
from lmc.engine.job import sentence
from lmc.engine.versions import program
from lmc.errors import InputError

log = logging.getLogger("lmc.engine")
Operation = Callable[..., Any]


class Listening:
    """Answers the operations of a coordinator until it is closed; its address lies in the engine's folder."""

    def __init__(self, coordinator: Coordinator, folder: Any, pem: str, pid: int) -> None:
        self._folder, self.coordinator = folder, coordinator
        write_private(folder / KEY, pem)
        application = Application([(r"/(\w+)", _Handler, {"operations": self._operations()})], log_function=_silent)
        self._server = HTTPServer(application, ssl_options=tls_context(folder / KEY, server=True))
        sockets = bind_sockets(0, HOST)
        self._server.add_sockets(sockets)
        about: dict[str, Any] = {"host": HOST, "port": sockets[0].getsockname()[1], "pid": pid, "program": program()}
        about["classroom"] = coordinator.limits is not None
        write_private(folder / ADDRESS, json.dumps(about))

    def close(self) -> None:
        (self._folder / ADDRESS).unlink(missing_ok=True)
        (self._folder / KEY).unlink(missing_ok=True)
        self._server.stop()

    def _operations(self) -> dict[str, Operation]:
        runs = self.coordinator

        def submit(config: dict[str, Any], session: str, device: str) -> str:
            return runs.submit(config_from(config), session, device).id

        def load(token: str, labels: list[list[str]], activation: str | None, session: str) -> str:
            return runs.load(token, [(name, label) for name, label in labels], activation, session).id

        def loaded(token: str) -> dict[str, Any] | None:
            return runs.runs[token].content if token in runs.runs else None

        def ping() -> dict[str, str]:
            return program()

        operations: list[Operation] = [submit, load, loaded, ping, runs.status, runs.partial, runs.cancel, runs.listed]
        return {operation.__name__: operation for operation in operations}


class _Handler(RequestHandler):
    def initialize(self, operations: dict[str, Operation]) -> None:
        self.operations = operations

    def post(self, name: str) -> None:
        answer: dict[str, Any]
        try:
            answer = {"value": self.operations[name](**json.loads(self.request.body))}
        except InputError as error:
            answer = {"refused": [error.option, str(error.value), error.right]}
        except Exception as error:
            log.warning("%s refused: %s", name, error)
            answer = {"error": sentence(error)}
        self.write(json.dumps(answer))


def _silent(_: RequestHandler) -> None:
    """Pages ask every second; that is no news."""
