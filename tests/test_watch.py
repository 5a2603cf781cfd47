"""How far a stage is, as it tells."""

import time

from t2ipal.watch import Progress, seldom, watched


def test_each_item_is_counted_when_it_has_been_dealt_with():
    told, dealt = [], []
    for item in watched("abc", 3, "letters", told.append):
        assert len(told) == len(dealt)
        dealt.append(item)
    assert dealt == ["a", "b", "c"]
    assert told == [Progress(done, 3, "letters") for done in (1, 2, 3)]


def test_a_watch_that_is_told_seldom_hears_of_the_end():
    told = []
    tell = seldom(told.append, every_s=60)
    for done in range(1, 1001):
        tell(Progress(done, 1000, "rows"))
    assert [each.done for each in told] == [1, 1000]


def test_a_watch_is_told_again_after_a_while():
    told = []
    tell = seldom(told.append, every_s=0.05)
    tell(Progress(1, 3, "rows"))
    time.sleep(0.06)
    tell(Progress(2, 3, "rows"))
    assert [each.done for each in told] == [1, 2]
