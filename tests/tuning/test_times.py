import time

import pytest

from t2ipal.tuning.times import Times


def test_a_part_within_another_counts_as_itself_only(monkeypatch):
    clock = iter([0.0, 1.0, 4.0, 5.0, 7.0, 10.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    times = Times()
    with times.spent_on("steps"):
        with times.spent_on("checkpoints"):
            pass
        with times.spent_on("checkpoints"):
            pass
    assert times.seconds == {"steps": 5.0, "checkpoints": 5.0}


def test_a_part_that_fails_is_counted(monkeypatch):
    clock = iter([0.0, 2.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    times = Times()
    with pytest.raises(ValueError, match="broken"), times.spent_on("reading"):
        raise ValueError("broken")
    assert times.seconds == {"reading": 2.0}
