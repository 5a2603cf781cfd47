from functools import partial

import pytest

from jobs.benchmarks.driver import _stand_in, planned
from t2ipal.captions.collect import answer_seed
from t2ipal.errors import UserError
from t2ipal.stages import captions
from t2ipal.store import Store
from tests.recipes import tiny_recipe
from tests.whole_table import read_all


def test_the_driver_of_the_captions_stage_is_measured_alone():
    every = {"attempts": 2, "drop_similar": 0.9, "endpoint": {"url": "http://127.0.0.1:1/v1"}}
    found = planned(tiny_recipe(captions=every), 600)
    assert 10 < found["rows_per_s"] < 1e6
    assert 0 <= found["mib"] < 200
    with pytest.raises(UserError, match="no section captions"):
        planned(tiny_recipe(captions=None, annotated_captions={"path": "unused"}), 600)


def test_every_answer_is_looked_at_and_every_row_is_committed(tmp_path):
    recipe = tiny_recipe(captions={"candidates": 2})
    store = Store.open(str(tmp_path))
    store.claim(recipe)
    report = captions.run(recipe, store, partial(_stand_in, recipe))
    assert (report.rows, report.notes["rejected"]) == (12, 0)
    rows = read_all(store.shards("captions")).to_pylist()
    # Of every second row the first answer names nothing, and the second one is kept.
    assert [row["seed"] for row in rows] == [answer_seed(0, row, 1 - row % 2) for row in range(12)]
