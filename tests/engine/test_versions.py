"""Which differences between client and workers count, and that a call is not read before they are compared."""

import pickle
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

from lmc import EngineError
from lmc.engine import versions
from lmc.engine.remote import packed
from lmc.engine.versions import program, require_same

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def source(tmp_path, monkeypatch):
    """The digest of a small source tree, and its folder."""
    for name in ("lmc/a.py", "lmc/inner/b.py", "models/c.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x = 1\ny = 2\n")
    monkeypatch.setattr(versions, "_ROOT", tmp_path)
    return versions._source, tmp_path


@pytest.mark.parametrize("name", ["lmc/a.py", "lmc/inner/b.py", "models/c.py"])
def test_a_changed_line_a_new_file_and_a_moved_one_change_the_digest(source, name):
    digest, folder = source
    found = [digest()]
    (folder / name).write_bytes(b"x = 1\ny = 3\n")
    found.append(digest())
    (folder / name).rename(folder / name.replace(".py", "_.py"))
    found.append(digest())
    (folder / name).write_bytes(b"")
    found.append(digest())
    assert len(set(found)) == 4 and all(re.fullmatch("[0-9a-f]{8}", one) for one in found)


def test_line_ends_compiled_files_and_networks_do_not_change_the_digest(source):
    digest, folder = source
    before = digest()
    (folder / "lmc" / "a.py").write_bytes(b"x = 1\r\ny = 2\r\n")
    (folder / "lmc" / "__pycache__").mkdir()
    (folder / "lmc" / "__pycache__" / "a.pyc").write_bytes(b"compiled")
    (folder / "models" / "weights.safetensors").write_bytes(b"numbers")
    assert digest() == before


def test_an_installed_copy_has_the_same_source():
    with (PROJECT / "pyproject.toml").open("rb") as file:
        packages = tomllib.load(file)["tool"]["setuptools"]["packages"]
    folders = {path.parent for root in ("lmc", "models") for path in (PROJECT / root).rglob("*.py")}
    assert {".".join(folder.relative_to(PROJECT).parts) for folder in folders} == set(packages)


def test_the_same_program_passes_and_builds_for_cpu_and_gpu_count_as_the_same(monkeypatch):
    require_same(program(), "here")
    program.cache_clear()
    try:
        builds = {"torch": "2.10.0+cu128", "numpy": "2.1.0"}
        monkeypatch.setattr(versions, "version", lambda name: builds.get(name, "1.0"))
        assert (program()["torch"], program()["numpy"]) == ("2.10.0", "2.1.0")
    finally:
        program.cache_clear()


def test_all_that_differs_is_named_with_the_worker_and_what_is_right():
    ours = program()
    with pytest.raises(EngineError) as raised:
        require_same({**ours, "torch": "1.0", "lmc": "12345678"}, "tls://far:1")
    what = f"lmc {ours['lmc']} instead of 12345678, torch {ours['torch']} instead of 1.0"
    assert str(raised.value) == f"the worker tls://far:1 has {what}; install the same versions there and start it again"
    older = {name: value for name, value in ours.items() if name != "distributed"}
    with pytest.raises(EngineError, match=r"has distributed \S+ instead of none;"):
        require_same(older, "tls://far:1")


@pytest.fixture
def worker(monkeypatch):
    """This process as a worker."""
    monkeypatch.setattr("distributed.get_worker", lambda: SimpleNamespace(address="tls://here:1"))


def test_a_call_is_its_value_where_it_is_unpickled_with_what_workers_hold(worker):
    assert pickle.loads(packed(divmod, (7, 2))) == (3, 1)
    held = [pickle.dumps(("a", [1, 2])), pickle.dumps({"b": 3})]
    assert list(pickle.loads(packed(zip, ("xy",), held=2), buffers=held)) == [("x", ("a", [1, 2])), ("y", {"b": 3})]


def test_a_call_is_not_read_by_another_program(worker, monkeypatch):
    class Unreadable:
        def __reduce__(self):
            return int, ("no number",)

    content = packed(print, (Unreadable(),))
    with pytest.raises(ValueError, match="no number"):
        pickle.loads(content)
    monkeypatch.setattr("lmc.engine.versions.program", lambda: {**program(), "lmc": "another"})
    with pytest.raises(EngineError, match="the worker tls://here:1 has lmc another instead of"):
        pickle.loads(content)


def test_where_the_program_is_missing_the_call_says_so_and_the_process_goes_on(tmp_path):
    (tmp_path / "call").write_bytes(packed(print, ("never",)))
    code = (
        "import pickle, pathlib\n"
        "try: pickle.loads(pathlib.Path('call').read_bytes())\n"
        "except ModuleNotFoundError as error: print(error.name)"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "lmc\n"
