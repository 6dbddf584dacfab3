"""Pages of the app without browsers: clients of Streamlit's websocket that do what its web page does.

A session opens an address, keeps the elements that it is sent, runs fragments again as often as they ask for, and
presses buttons. It draws nothing, so that one machine can play thirty people.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

from streamlit.proto.Alert_pb2 import Alert
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Element_pb2 import Element
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

LARGEST = 64 * 2**20  # bytes a message
CHART = "vega_lite_chart"


@dataclass(frozen=True)
class Shown:
    """An element on the page, and the fragment that drew it (empty: the page itself)."""

    element: Element
    fragment: str

    @property
    def kind(self) -> str:
        return self.element.WhichOneof("type") or ""

    @property
    def text(self) -> str:
        """What a person reads: the body of a markdown block, heading or alert, the text of a progress bar."""
        content = getattr(self.element, self.kind) if self.kind else None
        return str(getattr(content, "body", "") or getattr(content, "text", ""))


class Session:
    """One visitor of `url` at `address`, a path with its query such as `pair?width=16`; use it with `async with`.

    Attributes:
        first_chart: seconds from the start of connecting to the first chart, None before it.
        first_end: the same to the end of the first run of the whole page.
        ended: the same to when `until` was first fulfilled.
        errors: every exception, red box and fault of the connection so far, once.
        said: every text that a progress bar or an info box showed, once, in order.
        runs: how often the page or a fragment ran to its end.
    """

    def __init__(self, url: str, address: str = "") -> None:
        self.url, self.address = url.rstrip("/"), address
        self.first_chart: float | None = None
        self.first_end: float | None = None
        self.ended: float | None = None
        self.errors: list[str] = []
        self.said: list[str] = []
        self.runs = 0
        parts = urlsplit(address)
        self._page, self._query, self._script = parts.path.strip("/"), parts.query, ""
        self._shown: dict[tuple[int, ...], Shown] = {}
        self._stale: set[tuple[int, ...]] = set()  # shown by an earlier run, until this one ends
        self._repeating: dict[str, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        self._start = 0.0

    async def __aenter__(self) -> Session:
        self._start = time.perf_counter()
        address = f"{self.url.replace('http', 'ws', 1)}/_stcore/stream"
        self._socket: ClientConnection = await connect(
            address, subprotocols=["streamlit"], origin=self.url, max_size=LARGEST, compression=None, open_timeout=60
        )
        self._listening = asyncio.create_task(self._listen())
        await self._rerun()
        return self

    async def __aexit__(self, *fault: object) -> None:
        self._stop_repeating()
        self._listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._listening
        await self._socket.close()

    # What is on the page

    def shown(self, kind: str) -> Iterator[Shown]:
        """The elements of one kind, as they are called in Streamlit's protocol."""
        return (shown for shown in self._shown.values() if shown.kind == kind)

    @property
    def texts(self) -> list[str]:
        """All that can be read now, from the top."""
        return [text for _, shown in sorted(self._shown.items(), key=lambda item: item[0]) if (text := shown.text)]

    def says(self, part: str) -> bool:
        """Whether `part` stands somewhere on the page."""
        return any(part in text for text in self.texts)

    # What a person does

    async def until(self, fulfilled: Callable[[Session], bool], timeout: float = 60.0) -> None:
        """Wait until `fulfilled(self)`; after `timeout` seconds TimeoutError says what is on the page instead."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while not fulfilled(self) and not self._listening.done():
                    self._changed.clear()
                    await self._changed.wait()
        if not fulfilled(self):
            raise TimeoutError(f"{self.address} after {timeout:g} s shows {self.texts} {self.errors}")
        self.ended = self.ended or self._passed()

    async def press(self, key: str) -> None:
        """Press the button of this key. Raises LookupError if it is not on the page."""
        for shown in self.shown("button"):
            if shown.element.button.id.endswith(f"-{key}") and not shown.element.button.disabled:
                await self._rerun(fragment=shown.fragment, pressed=shown.element.button.id)
                return
        raise LookupError(f"{self.address} shows no button {key}: {self.texts}")

    # The protocol

    async def _rerun(self, *, fragment: str = "", automatic: bool = False, pressed: str = "") -> None:
        message = BackMsg()
        asked = message.rerun_script
        asked.query_string, asked.fragment_id, asked.is_auto_rerun = self._query, fragment, automatic
        asked.page_script_hash = self._script
        if not self._script:  # the first time only the address is known
            asked.page_name = self._page
        asked.context_info.url = f"{self.url}/{self._page}"
        asked.context_info.timezone = "UTC"
        if pressed:
            asked.widget_states.widgets.add(id=pressed, trigger_value=True)
        await self._socket.send(message.SerializeToString())

    async def _listen(self) -> None:
        try:
            async for content in self._socket:
                message = ForwardMsg()
                message.ParseFromString(content)
                self._hear(message)
                self._changed.set()
        except ConnectionClosed as closed:
            self._fault(f"the connection was closed: {closed}")
        finally:
            self._stop_repeating()
            self._changed.set()

    def _hear(self, message: ForwardMsg) -> None:
        kind = message.WhichOneof("type")
        if kind == "delta":
            self._draw(message)
        elif kind == "new_session":
            self._begin(message)
        elif kind == "script_finished":
            self._finish(message.script_finished)
        elif kind == "auto_rerun":
            self._repeat(message.auto_rerun.fragment_id, message.auto_rerun.interval)
        elif kind == "stop_auto_rerun":
            for fragment in message.stop_auto_rerun.fragment_ids:
                self._stop_repeating(fragment)
        elif kind == "navigation":  # from now on the page is asked for by this, not by its name
            self._script = message.navigation.page_script_hash
        elif kind == "page_info_changed":
            self._query = message.page_info_changed.query_string
        elif kind == "page_not_found":
            self._fault(f"page not found: {self.address}")

    def _begin(self, message: ForwardMsg) -> None:
        fragments = message.metadata.run.fragment_ids
        if not fragments:
            self._stop_repeating()
        self._stale = {path for path, shown in self._shown.items() if not fragments or shown.fragment in fragments}

    def _draw(self, message: ForwardMsg) -> None:
        path, delta = tuple(message.metadata.delta_path), message.delta
        if delta.WhichOneof("type") == "new_transient":
            return  # a spinner over what stands there
        self._shown = {other: shown for other, shown in self._shown.items() if other[: len(path)] != path}
        if delta.WhichOneof("type") != "new_element":
            return
        shown = Shown(delta.new_element, delta.fragment_id)
        self._shown[path] = shown
        self._stale.discard(path)
        if shown.kind == CHART:
            self.first_chart = self.first_chart or self._passed()
        elif shown.kind == "exception":
            self._fault(f"{shown.element.exception.type}: {shown.element.exception.message}")
        elif shown.kind == "alert" and shown.element.alert.format == Alert.ERROR:
            self._fault(shown.text)
        elif shown.kind in ("alert", "progress") and shown.text not in self.said:
            self.said.append(shown.text)

    def _finish(self, how: int) -> None:
        if how == ForwardMsg.FINISHED_WITH_COMPILE_ERROR:
            self._fault("the page's script does not compile")
        elif how != ForwardMsg.FINISHED_EARLY_FOR_RERUN:
            self._shown = {path: shown for path, shown in self._shown.items() if path not in self._stale}
            self.runs += 1
            self.first_end = self.first_end or self._passed()

    def _repeat(self, fragment: str, interval: float) -> None:
        async def again() -> None:
            while True:
                await asyncio.sleep(interval)
                await self._rerun(fragment=fragment, automatic=True)

        self._stop_repeating(fragment)
        self._repeating[fragment] = asyncio.create_task(again())

    def _stop_repeating(self, fragment: str | None = None) -> None:
        for one in list(self._repeating) if fragment is None else [fragment]:
            if one in self._repeating:
                self._repeating.pop(one).cancel()

    def _fault(self, text: str) -> None:
        if text not in self.errors:
            self.errors.append(text)

    def _passed(self) -> float:
        return time.perf_counter() - self._start


def has_chart(session: Session) -> bool:
    """Whether a chart is on the page and the page has been drawn to its end."""
    return session.first_end is not None and next(session.shown(CHART), None) is not None


def has_answer(session: Session) -> bool:
    """Whether the page shows a finished result: a chart, and below it the answer in a sentence."""
    return has_chart(session) and any(text.startswith("####") for text in session.texts)


async def visit(url: str, address: str, until: Callable[[Session], bool] = has_chart, timeout: float = 60.0) -> Session:
    """Open one address, stay until `until`, and leave; what went wrong is in `errors` of the session returned."""
    session = Session(url, address)
    try:
        async with session:
            await session.until(until, timeout)
    except (OSError, TimeoutError, ConnectionClosed) as fault:
        session.errors.append(str(fault) or type(fault).__name__)
    return session


async def visit_all(
    url: str, addresses: Sequence[str], until: Callable[[Session], bool] = has_chart, timeout: float = 60.0
) -> list[Session]:
    """Open all addresses at once, one session each; see `visit`."""
    return list(await asyncio.gather(*(visit(url, address, until, timeout) for address in addresses)))


def open_many(
    url: str, addresses: Sequence[str], until: Callable[[Session], bool] = has_chart, timeout: float = 60.0
) -> list[Session]:
    """`visit_all` for callers without an event loop, or with one that is not theirs, as Playwright's."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(visit_all(url, addresses, until, timeout))).result()


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of `values` that at least `share` of them do not exceed; nearest rank, so it is one of them."""
    ranked = sorted(values)
    return ranked[max(0, -int(-share * len(ranked) // 1) - 1)]
