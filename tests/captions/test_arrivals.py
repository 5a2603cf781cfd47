import pytest

from t2ipal.captions import arrivals
from t2ipal.captions.arrivals import Arrivals, steady_seconds
from tests.captions.writing import ask, rounds


def ends(*times, answers=100):
    return [(time, answers) for time in times]


@pytest.mark.parametrize("start", [0.0, 40.0])
def test_the_wait_for_the_first_answers_is_no_part_of_the_rate(start):
    assert steady_seconds(start, ends(*(60 + 5 * i for i in range(1, 9)))) == pytest.approx(40)


def test_shards_that_are_written_side_by_side_end_together():
    three_at_a_time = ends(70, 70.1, 70.2, 80, 80.2, 80.1, answers=192)
    assert steady_seconds(0.0, three_at_a_time) == pytest.approx(20, rel=0.02)


def test_shards_of_different_sizes():
    assert steady_seconds(0.0, [(70, 100), (75, 50), (85, 100)]) == pytest.approx(25)


@pytest.mark.parametrize("times", [[80.0], [80.0, 81.0], [79.5, 80.0, 81.0]])
def test_where_all_end_together_all_time_is_work(times):
    assert steady_seconds(20.0, ends(*times)) == times[-1] - 20


def test_nothing_was_written():
    assert steady_seconds(0.0, []) == 0.0


def test_all_answers_are_counted_of_every_attempt(tmp_path, monkeypatch):
    clock = iter(range(10_000))
    monkeypatch.setattr(arrivals, "monotonic", lambda: float(next(clock)))
    asked = []
    way = Arrivals(ask(asked=asked))
    work = rounds(tmp_path, way, attempts=3)
    work.complete(work.plan.shards())
    assert way.answers == len(asked) > 12  # some captions were asked for again
    assert way.seconds == pytest.approx(len(asked), rel=0.3)  # one each second, by shards
