import pytest

from t2ipal import Recognizer
from tests.finished_bundle import finished
from tests.serve.here import without_ray


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    return finished(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="session")
def bundle(run) -> str:
    return f"{run[1].uri}/bundle"


@pytest.fixture(scope="session")
def other_bundle(tmp_path_factory) -> str:
    """Of a recognizer that was tuned with another seed."""
    _, store = finished(tmp_path_factory.mktemp("other"), seed=1)
    return f"{store.uri}/bundle"


@pytest.fixture(scope="session")
def recognizer(bundle) -> Recognizer:
    return Recognizer.load(bundle)


@pytest.fixture(scope="module")
def no_ray():
    """Replicas in this process, in a module that starts no Ray Serve."""
    patch = without_ray()
    yield
    patch.undo()
