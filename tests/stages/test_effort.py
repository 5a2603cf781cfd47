import time

import pytest

from t2ipal.stages.effort import Effort, Laps, Work, busiest
from t2ipal.stages.features import _effort
from t2ipal.stages.images import Painters


def test_shards_are_done_whole():
    assert busiest(30.0, workers=2, shards=3) == 20.0  # one of them does two
    assert busiest(30.0, workers=8, shards=3) == 10.0
    assert busiest(30.0, workers=2, shards=0) == 15.0  # not in shards


def test_nothing_was_done():
    assert Effort().seconds == 0.0


def test_all_kinds_count():
    effort = Effort({"images": Work(10, 6.0), "captions": Work(4, 2.0)}, workers=2, shards=4)
    assert effort.seconds == 4.0


def report(worker, rows, seconds):
    return {"worker": worker, "rows": rows, "painting_s": seconds}


def test_what_the_first_images_take_longer_is_no_rate():
    painters = Painters(2)
    for each in (report("a", 10, 90.0), report("b", 10, 20.0), report("a", 10, 20.0), report("b", 0, 0.0)):
        painters.add(each)
    effort = painters.effort()
    assert effort.work["images"].amount == 30
    assert effort.work["images"].seconds == pytest.approx(60.0)
    assert (effort.workers, effort.shards) == (2, 3)


def test_a_painter_that_was_replaced_is_not_one_more():
    painters = Painters(1)
    for number in range(100):
        worker = "first" if number < 40 else "second"
        painters.add({"worker": worker, "painting_s": 100.0, "rows": 50})
    assert painters.effort() == Effort({"images": Work(5000, 10_000.0)}, workers=1, shards=100)


def test_so_it_is_with_features():
    reports = [{"table": "features", "rows": 5, "seconds": 2.0, "worker": str(number)} for number in range(4)]
    assert _effort(reports, most=2) == Effort({"features": Work(20, 8.0)}, workers=2, shards=4)


def test_shards_that_were_found_painted_say_nothing():
    painters = Painters(2)
    painters.add(report("a", 10, 0.0))
    assert painters.effort() == Effort()


def test_the_time_of_several_shards_in_hand_is_divided_among_them(monkeypatch):
    clock = iter([0.0, 4.0, 4.5, 8.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    laps = Laps()
    assert [laps.lap() for _ in range(3)] == [4.0, 0.5, 3.5]
