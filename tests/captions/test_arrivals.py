import pytest

from t2ipal.captions import arrivals
from t2ipal.captions.arrivals import Arrivals, steady_seconds
from tests.captions.writing import ask, rounds


def test_the_wait_for_the_first_answers_is_no_part_of_the_rate():
    assert steady_seconds([60.0 + i / 10 for i in range(80)]) == pytest.approx(8.0)


def test_answers_that_come_in_a_burst_at_first():
    times = [60.0] * 10 + [60.0 + i / 10 for i in range(70)]  # those of a full engine
    assert steady_seconds(times) == pytest.approx(8.0, rel=0.02)


@pytest.mark.parametrize("times", [[], [5.0], [5.0, 5.0]])
def test_too_few_answers_for_a_rate(times):
    assert steady_seconds(times) == 0.0


def test_all_answers_are_counted_of_every_attempt(tmp_path, monkeypatch):
    clock = iter(range(10_000))
    monkeypatch.setattr(arrivals, "monotonic", lambda: float(next(clock)))
    asked = []
    way = Arrivals(ask(asked=asked))
    work = rounds(tmp_path, way, attempts=3)
    work.complete(work.plan.shards())
    assert way.answers == len(asked) > 12  # some captions were asked for again
    assert way.seconds == pytest.approx(len(asked))
