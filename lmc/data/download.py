"""Downloading one file: resumed where it was broken off, checked, and in place only when whole.

A download grows in `FILE.part`. If the connection breaks, or a report stops it, the part stays and the next attempt
asks the server for the rest (HTTP Range, RFC 9110, section 14); a server that sends everything again is understood.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import http.client
import queue
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from lmc.data.files import PATIENCE, Report, silent

TIMEOUT = 20.0  # seconds without a byte, after which a connection counts as broken
_CHUNK = 1 << 18  # bytes
_END = object()
FULL = (errno.ENOSPC, errno.EDQUOT)  # the disk, or the quota on it


class DownloadError(Exception):
    """A file cannot be downloaded; the text is half a sentence that says why."""


class _BrokenError(Exception):
    """The connection cannot be made, ended early, or brought something else."""


@dataclass(frozen=True)
class _Answer:
    """The server sends the bytes from `start` on, of a file that has `total` (None: it doesn't say)."""

    start: int
    total: int | None


def fetch(urls: Sequence[str], target: Path, md5: str, *, report: Report = silent) -> None:
    """Download `target` from the first of the mirrors `urls` that works.

    `report(share, text)` is called at least every second and may raise to stop; the part is then kept. Raises
    DownloadError if no mirror works or all bring another content than the published one (it is removed), and OSError
    if the folder cannot be written or the disk is full (the part is removed too).
    """
    part = target.with_name(target.name + ".part")
    reasons = []
    for url in urls:
        try:
            _complete(url, part, md5, report)
        except _BrokenError as error:
            reasons.append(str(error))
        except OSError as error:
            if error.errno in FULL:  # what can't be finished shall not fill the disk
                part.unlink(missing_ok=True)
            raise
        else:
            part.replace(target)
            return
    raise DownloadError("; ".join(dict.fromkeys(reasons)))


def md5_of(path: Path, report: Report = silent) -> str:
    """MD5 of a file as 32 hexadecimal digits. It tells published files apart; it is no protection from malice."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(1 << 25):
            digest.update(chunk)
            report(1.0, f"checking {path.name}")
    return digest.hexdigest()


def _complete(url: str, part: Path, md5: str, report: Report) -> None:
    """Bring `part` to its end and check it. If what an earlier attempt left turns out wrong, begin anew, once."""
    resumed = _size(part) > 0
    while True:
        _grow(url, part, report)
        if md5_of(part, report) == md5:
            return
        part.unlink()
        if not resumed:
            raise _BrokenError(f"the checksum of the file from {_host(url)} is wrong, so it was removed")
        resumed = False


def _grow(url: str, part: Path, report: Report) -> None:
    """Ask again for the rest after a broken connection, as long as every attempt brings something."""
    while True:
        before = _size(part)
        try:
            _append(url, part, report)
        except _BrokenError:
            if _size(part) <= before:
                raise
        else:
            return


def _append(url: str, part: Path, report: Report) -> None:
    """One request for what is missing of `part`."""
    with contextlib.closing(_news(url, _size(part))) as news:
        answer = None
        while answer is None:
            report(0.0, f"connecting to {_host(url)}")
            answer = next(news)
        assert isinstance(answer, _Answer)
        have, said = answer.start, 0.0
        with part.open("ab" if answer.start else "wb") as file:
            for chunk in news:
                if isinstance(chunk, bytes):
                    file.write(chunk)
                    have += len(chunk)
                if time.monotonic() - said > PATIENCE / 2:
                    said = time.monotonic()
                    report(have / answer.total if answer.total else 0.0, _text(url, have, answer.total))
    if answer.total is not None and have < answer.total:
        raise _BrokenError(f"the connection to {_host(url)} broke off")


def _news(url: str, have: int) -> Generator[_Answer | bytes | None]:
    """The server's answer, then bytes; None each time that PATIENCE passes without either.

    A thread waits for the network, so that the caller can report, and be stopped, while nothing arrives.
    """
    arrived: queue.Queue[object] = queue.Queue(maxsize=8)
    stop = threading.Event()
    threading.Thread(target=_read, args=(url, have, arrived, stop), daemon=True).start()
    try:
        while True:
            try:
                item = arrived.get(timeout=PATIENCE)
            except queue.Empty:
                yield None
                continue
            if item is _END:
                return
            if isinstance(item, Exception):
                raise item
            assert isinstance(item, _Answer | bytes)
            yield item
    finally:
        stop.set()


def _read(url: str, have: int, arrived: queue.Queue[object], stop: threading.Event) -> None:
    """Put the answer and the bytes into `arrived`, last _END or the exception that ended it."""

    def put(item: object) -> None:
        while not stop.is_set():
            with contextlib.suppress(queue.Full):
                arrived.put(item, timeout=PATIENCE)
                return

    wrong = f"no connection to {_host(url)}"
    try:
        headers = {"User-Agent": "lmc-explorer", **({"Range": f"bytes={have}-"} if have else {})}
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT) as response:
            put(_answer(url, response, have))
            wrong = f"the connection to {_host(url)} broke off"
            while not stop.is_set() and (chunk := response.read1(_CHUNK)):
                put(chunk)
        put(_END)
    except urllib.error.HTTPError as error:
        if have and error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:  # nothing is missing
            put(_Answer(have, have))
            put(_END)
        else:
            put(_BrokenError(f"{_host(url)} answered {error.code} {error.reason}"))
        error.close()
    except (OSError, http.client.HTTPException):
        put(_BrokenError(wrong))
    except Exception as error:
        put(error)


def _answer(url: str, response: http.client.HTTPResponse, have: int) -> _Answer:
    if response.status == http.client.PARTIAL_CONTENT:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if not found or int(found[1]) != have:
            raise _BrokenError(f"{_host(url)} sent another part than asked for")
        return _Answer(have, None if found[2] == "*" else int(found[2]))
    length = response.headers.get("Content-Length")
    return _Answer(0, int(length) if length else None)


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _host(url: str) -> str:
    return urlsplit(url).hostname or url


def _text(url: str, have: int, total: int | None) -> str:
    of = f" of {total / 1e6:.1f}" if total else ""
    return f"downloading {url.rsplit('/', 1)[-1]}: {have / 1e6:.1f}{of} MB"
