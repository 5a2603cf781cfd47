import pytest

from jobs.benchmarks.process import measured
from jobs.ray_session import ENVIRONMENT
from t2ipal.errors import UserError

MODULE = "tests.benchmarks.told"


def test_a_measure_starts_in_the_environment_of_a_job(monkeypatch):
    # Ray reads it when it is imported: with another value each worker below `uv run` makes an environment.
    monkeypatch.delenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV")
    found = measured(MODULE, "environment", {}, {"OMP_NUM_THREADS": "7", "OF_ITS_OWN": "1"})
    assert found["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] == ENVIRONMENT["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] == "0"
    assert found["RAY_worker_niceness"] == "0"
    assert (found["OMP_NUM_THREADS"], found["OF_ITS_OWN"]) == ("1", "1")  # the first is the user's


def test_a_measure_that_fails_says_why():
    with pytest.raises(UserError, match="KeyError: 'unknown'"):
        measured(MODULE, "unknown", {})
