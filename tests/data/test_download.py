import hashlib
import random
import socket
import subprocess
import sys
import threading
import time

import pytest

from lmc.data.download import DownloadError, fetch, md5_of
from lmc.data.files import locked, replacing
from lmc.errors import Stopped

CONTENT = random.Random(0).randbytes(300_000)
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def target(tmp_path):
    return tmp_path / "file.gz"


def names(target):
    return sorted(path.name for path in target.parent.iterdir())


def closed_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_a_file_arrives_whole_and_the_progress_is_told(server, target):
    server.files["/file.gz"], server.delay = CONTENT, 0.15
    told = []
    fetch([f"{server.url}/file.gz"], target, MD5, report=lambda share, text: told.append((share, text)))
    assert target.read_bytes() == CONTENT and names(target) == ["file.gz"]
    shares = [share for share, text in told if text.startswith("downloading")]
    assert shares == sorted(shares) and any(0 < share < 1 for share in shares)
    assert any("downloading file.gz: 0." in text and "of 0.3 MB" in text for _, text in told)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_was_stopped_goes_on(server, target, ranges):
    server.files["/file.gz"], server.delay, server.ranges = CONTENT, 0.2, ranges

    def stop(share, text):
        if share > 0:
            raise Stopped

    with pytest.raises(Stopped):
        fetch([f"{server.url}/file.gz"], target, MD5, report=stop)
    kept = (target.parent / "file.gz.part").stat().st_size
    assert 0 < kept < len(CONTENT) and names(target) == ["file.gz.part"]
    server.delay = 0
    fetch([f"{server.url}/file.gz"], target, MD5)
    assert target.read_bytes() == CONTENT and names(target) == ["file.gz"]
    assert server.asked[1][1] == f"bytes={kept}-"


def test_broken_connections_are_taken_up_again(server, target):
    server.files["/file.gz"], server.cut = CONTENT, [100_000, 1, 70_000]
    fetch([f"{server.url}/file.gz"], target, MD5)
    assert target.read_bytes() == CONTENT
    assert [asked for _, asked in server.asked] == [None, "bytes=100000-", "bytes=100001-", "bytes=170001-"]


def test_a_server_without_ranges_that_always_hangs_up_is_given_up(server, target):
    server.files["/file.gz"], server.cut, server.ranges = CONTENT, [100_000] * 9, False
    with pytest.raises(DownloadError, match=r"the connection to 127\.0\.0\.1 broke off"):
        fetch([f"{server.url}/file.gz"], target, MD5)
    assert len(server.asked) == 2 and names(target) == ["file.gz.part"]


def test_a_wrong_checksum_removes_the_file(server, target):
    server.files["/file.gz"] = CONTENT[:-1] + b"x"
    with pytest.raises(DownloadError, match=r"the checksum of the file from 127\.0\.0\.1 is wrong, so it was removed"):
        fetch([f"{server.url}/file.gz"], target, MD5)
    assert names(target) == [] and len(server.asked) == 1


@pytest.mark.parametrize("left", [b"something else", CONTENT + b"too long", CONTENT, b""])
@pytest.mark.parametrize("ranges", [True, False])
def test_whatever_an_earlier_attempt_left_the_file_is_right(server, target, left, ranges):
    server.files["/file.gz"], server.ranges = CONTENT, ranges
    target.with_name("file.gz.part").write_bytes(left)
    fetch([f"{server.url}/file.gz"], target, MD5)
    assert target.read_bytes() == CONTENT and names(target) == ["file.gz"]


def test_the_next_mirror_is_tried(server, target):
    server.files.update({"/wrong": CONTENT[:-1], "/right": CONTENT})
    mirrors = [f"http://127.0.0.1:{closed_port()}/file", f"{server.url}/missing", f"{server.url}/wrong"]
    with pytest.raises(DownloadError) as error:
        fetch(mirrors, target, MD5)
    assert str(error.value) == (
        "no connection to 127.0.0.1; 127.0.0.1 answered 404 Not Found; "
        "the checksum of the file from 127.0.0.1 is wrong, so it was removed"
    )
    fetch([*mirrors, f"{server.url}/right"], target, MD5)
    assert target.read_bytes() == CONTENT


def test_a_host_without_an_address_is_named(target):
    with pytest.raises(DownloadError, match=r"no connection to nowhere\.invalid"):
        fetch(["http://nowhere.invalid/file"], target, MD5)
    assert names(target) == []


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
def test_a_full_disk_leaves_nothing(server, target):
    server.files["/file.gz"] = CONTENT
    target.with_name("file.gz.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        fetch([f"{server.url}/file.gz"], target, MD5)
    assert names(target) == []


def test_a_silent_server_does_not_freeze_the_caller(server, target):
    server.files["/file.gz"], server.delay = CONTENT, 30
    began = time.monotonic()

    def stop(share, text):
        if time.monotonic() - began > 1:
            raise Stopped

    with pytest.raises(Stopped):
        fetch([f"{server.url}/file.gz"], target, MD5, report=stop)
    assert time.monotonic() - began < 3


def test_a_connection_that_stays_silent_counts_as_broken(server, target, monkeypatch):
    server.files["/file.gz"], server.delay = CONTENT, 2
    monkeypatch.setattr("lmc.data.download.TIMEOUT", 0.2)
    with pytest.raises(DownloadError, match="broke off"):
        fetch([f"{server.url}/file.gz"], target, MD5)


def test_md5_of_a_file(tmp_path):
    (tmp_path / "file").write_bytes(CONTENT)
    assert md5_of(tmp_path / "file") == MD5


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    target = tmp_path / "new" / "file"
    with replacing(target) as path:
        path.write_text("first")
        assert not target.exists()
    with pytest.raises(RuntimeError), replacing(target) as path:
        path.write_text("second")
        raise RuntimeError
    assert target.read_text() == "first" and names(target) == ["file"]


def test_one_holds_the_lock_and_the_other_is_told_that_it_waits(tmp_path):
    order, told, held = [], [], threading.Event()

    def first():
        with locked(tmp_path / "lock", lambda *_: None, "fetching it"):
            held.set()
            time.sleep(0.8)
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    held.wait()
    with locked(tmp_path / "lock", lambda share, text: told.append(text), "fetching it"):
        order.append("second")
    thread.join()
    assert order == ["first", "second"] and told[0] == "waiting: another process is fetching it"


def test_the_lock_holds_between_processes_and_waiting_can_be_stopped(tmp_path):
    code = (
        "import sys; from pathlib import Path; from lmc.data.files import locked, silent\n"
        "with locked(Path(sys.argv[1]), silent, ''): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, tmp_path / "lock"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"

        def stop(share, text):
            raise Stopped

        with pytest.raises(Stopped), locked(tmp_path / "lock", stop, "fetching it"):
            pytest.fail("two hold the lock")
        other.stdin.close()
        other.wait()
    with locked(tmp_path / "lock", stop, "fetching it"):
        pass
