import pytest

from lmc import Store
from lmc.engine import Engine


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """An engine with two workers, shared by the tests of a module."""
    running = Engine(Store(tmp_path_factory.mktemp("store"), shipped=None), workers=2)
    running.wait_until_ready()
    yield running
    running.close()


@pytest.fixture
def fresh(tmp_path):
    """An engine with two workers for one test that harms it."""
    running = Engine(Store(tmp_path, shipped=None), workers=2)
    running.wait_until_ready()
    yield running
    running.close()
