import pytest

from t2ipal.captions.collect import Answer, Collector, answer_seed, caption_id
from t2ipal.captions.plan import CaptionPlan
from t2ipal.tables import CAPTIONS
from t2ipal.vocabulary import Vocabulary

VOCABULARY = Vocabulary(names=("fish", "house", "tree"), synonyms=((), (), ()))
PLAN = CaptionPlan(count=5, num_classes=3, classes_per_caption=(1, 2), shard_rows=3, seed=0)


@pytest.fixture
def collector():
    return Collector(PLAN, VOCABULARY, candidates=2, model="m")


def right(index):
    return "a " + " and a ".join(VOCABULARY.names[c] for c in PLAN.classes(index))


def test_a_shard_is_complete_with_its_last_answer_in_any_order(collector):
    last = "captions-00001"
    answers = [Answer(last, index, candidate, right(index)) for index in (4, 3) for candidate in (1, 0)]
    assert [collector.add(answer) for answer in answers[:-1]] == [None] * 3
    table = collector.add(answers[-1])
    assert table.schema == CAPTIONS
    assert table.column("caption_id").to_pylist() == ["c00000003", "c00000004"]
    assert table.column("text").to_pylist() == [right(3), right(4)]
    assert table.column("labels").to_pylist() == [sorted(PLAN.classes(3)), sorted(PLAN.classes(4))]
    assert table.column("requested") == table.column("labels")


def test_the_seed_is_that_of_the_accepted_answer(collector):
    for index in (3, 4):
        collector.add(Answer("captions-00001", index, 0, "nothing"))
    collector.add(Answer("captions-00001", 3, 1, right(3)))
    table = collector.add(Answer("captions-00001", 4, 1, "nothing"))
    assert table.column("caption_id").to_pylist() == ["c00000003"]  # the other one was rejected
    assert table.column("seed").to_pylist() == [answer_seed(0, 3, 1)]


def test_an_answer_that_comes_twice_counts_once(collector):
    """Ray runs a task again when its worker was lost, also after the task's rows had come."""
    answers = [
        Answer("captions-00001", index, candidate, right(index)) for index in (3, 4) for candidate in (0, 1)
    ]
    for answer in (*answers[:3], answers[0]):
        assert collector.add(answer) is None
    assert collector.add(answers[3]).num_rows == 2


def test_a_failed_answer_keeps_its_shard_open_and_no_other(collector):
    assert collector.add(Answer("captions-00000", 0, 0, "", error="prompt too long")) is None
    for index in PLAN.rows("captions-00000"):
        for candidate in (0, 1):
            if (index, candidate) != (0, 0):
                assert collector.add(Answer("captions-00000", index, candidate, right(index))) is None
    tables = [
        collector.add(Answer("captions-00001", index, candidate, right(index)))
        for index in (3, 4)
        for candidate in (0, 1)
    ]
    assert tables[3] is not None
    assert (collector.failed, collector.failure) == (1, "prompt too long")


def test_seeds_differ_by_row_and_candidate():
    seeds = {
        answer_seed(seed, index, candidate) for seed in (0, 1) for index in range(9) for candidate in (0, 1)
    }
    assert len(seeds) == 36
    assert caption_id(12) == "c00000012"


def test_of_a_shard_those_rejected_are_shown_whose_classes_no_caption_names():
    plan = CaptionPlan(count=12, num_classes=3, classes_per_caption=(1, 1), shard_rows=12, seed=0)
    collector = Collector(plan, VOCABULARY, candidates=1, model="m")
    (shard,) = plan.shards()
    first = {plan.classes(index): index for index in reversed(range(12))}  # of each class, one is accepted
    for index in range(12):
        (named,) = plan.classes(index)
        accepted = named != 1 and first[(named,)] == index
        text = f"a {VOCABULARY.names[named]}" if accepted else f"nothing {index}"
        table = collector.add(Answer(shard, index, 0, text))
    assert table.num_rows == 2
    house = [index for index in range(12) if plan.classes(index) == (1,)]
    shown = collector.rejections[shard]
    assert shown == [{"classes": ["house"], "answer": f"nothing {index}"} for index in house[:3]]
