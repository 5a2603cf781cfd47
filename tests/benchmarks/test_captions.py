import pytest

from jobs.benchmarks.captions import one_engine
from t2ipal.errors import UserError
from tests.recipes import tiny_recipe


def test_a_round_asks_one_engine_once_for_each_answer():
    asked = {"count": 3, "shard_rows": 4, "candidates": 2, "workers": {"min": 2, "max": 3}}
    every = {"attempts": 3, "drop_similar": 0.9, "prior": {"corpus": "unused"}}
    captions = one_engine(tiny_recipe(captions=asked | every, images={"captions": 2}), 25).captions
    assert captions.count * captions.candidates == 32  # whole shards
    assert (captions.workers.min, captions.workers.max) == (1, 1)
    assert (captions.attempts, captions.drop_similar, captions.prior) == (1, None, None)


@pytest.mark.parametrize(
    ("sections", "why"),
    [
        ({"captions": {"endpoint": {"url": "http://127.0.0.1:1/v1"}}}, r"captions\.endpoint"),
        ({"captions": None, "annotated_captions": {"path": "unused"}}, "no section captions"),
    ],
)
def test_no_engine_of_the_jobs_own_to_measure(sections, why):
    with pytest.raises(UserError, match=why):
        one_engine(tiny_recipe(**sections), 8)
