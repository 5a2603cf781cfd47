import time

import pytest

from t2ipal.tuning.times import EpochTimes, Times


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


def test_the_epochs_of_each_phase_without_what_comes_between(monkeypatch):
    clock = iter([0.0, 3.0, 10.0, 14.0, 20.0, 25.0, 30.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    times = EpochTimes()
    for phase in ("first", "first", "second"):
        with times.between(phase):
            pass
    assert times.seconds == {"first": 7.0, "second": 5.0}
    assert times.epochs == {"first": 2, "second": 1}
