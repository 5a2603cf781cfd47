import numpy as np
import pyarrow as pa
import pytest

from t2ipal.evaluation.comparison import CLAIMS, compare, pairs_of
from t2ipal.evaluation.metrics import mean_average_precision
from t2ipal.method_names import NAMES, parse_name
from t2ipal.store import Store
from t2ipal.tables import PREDICTIONS, TEST_FEATURES


def test_claims_are_compared_where_both_methods_are_there():
    assert pairs_of(["zero_shot", "t2i_pal", "tai_dpt"]) == [("t2i_pal", "tai_dpt")]
    assert pairs_of(["t2i_pal"]) == []
    assert pairs_of([]) == []
    assert pairs_of([*NAMES, "zero_shot_standardised"]) == list(CLAIMS)


def test_a_method_is_compared_with_its_own_ablations():
    names = ["pvp-without-adapter", "t2i_pal", "t2i_pal-without-adapter", "t2i_pal-without-captions", "pvp"]
    assert pairs_of(names) == [
        ("pvp", "pvp-without-adapter"),
        ("t2i_pal", "t2i_pal-without-adapter"),
        ("t2i_pal", "t2i_pal-without-captions"),
    ]
    assert pairs_of(names[:1]) == []


def test_every_claim_is_of_methods_that_there_are():
    for pair in CLAIMS:
        for name in pair:
            assert parse_name(name)


LABELS = np.random.default_rng(0).random((40, 3)) < 0.4


def scores(good, seed):
    noise = np.random.default_rng(seed).normal(size=LABELS.shape)
    return (good * LABELS + noise).astype(np.float32)


@pytest.fixture
def tables(tmp_path):
    """Test labels in two shards; predictions of a good method with two seeds, and of a bad one."""
    store = Store.open(str(tmp_path))
    test, predictions = store.shards("test"), store.shards("predictions")
    for i, rows in enumerate((slice(0, 25), slice(25, 40))):
        labels = [np.flatnonzero(row).tolist() for row in LABELS[rows]]
        content = [
            {"image_id": str(n), "labels": found, "global": [], "patches": [], "ignored": []}
            for n, found in enumerate(labels)
        ]
        test.write(f"test-{i}", pa.Table.from_pylist(content, schema=TEST_FEATURES))
    given = {"t2i_pal-seed-0": scores(3, 1), "t2i_pal-seed-1": scores(3, 2), "tai_dpt-seed-0": scores(0.5, 3)}
    for name, values in given.items():
        rows = [{"image": str(n), "scores": row.tolist(), "labels": []} for n, row in enumerate(values)]
        figures = {"mAP": mean_average_precision(values, LABELS), "CF1": 1.0}
        predictions.write(name, pa.Table.from_pylist(rows, schema=PREDICTIONS), {"figures": figures})
    return predictions, test, given


def test_means_over_seeds_and_differences_with_their_intervals(tables):
    predictions, test, given = tables
    names = {"t2i_pal": ["t2i_pal-seed-0", "t2i_pal-seed-1"], "tai_dpt": ["tai_dpt-seed-0"]}
    found = compare(predictions, names, test, classes=3)
    values = {name: mean_average_precision(each, LABELS) for name, each in given.items()}
    seeds = [values["t2i_pal-seed-0"], values["t2i_pal-seed-1"]]
    assert found["methods"]["t2i_pal"]["mAP"]["seeds"] == pytest.approx(seeds, abs=1e-3)
    assert found["methods"]["t2i_pal"]["mAP"]["mean"] == pytest.approx(np.mean(seeds), abs=1e-3)
    assert found["methods"]["tai_dpt"]["mAP"]["std"] is None
    (row,) = found["differences"]
    assert (row["ours"], row["theirs"]) == ("t2i_pal", "tai_dpt")
    assert row["difference"] == pytest.approx(np.mean(seeds) - values["tai_dpt-seed-0"], abs=1e-2)
    assert 0 < row["low"] < row["difference"] < row["high"]
    assert found["resamples"] > 0


def test_alone_there_is_nothing_to_compare(tables):
    predictions, test, _ = tables
    found = compare(predictions, {"tai_dpt": ["tai_dpt-seed-0"]}, test, classes=3)
    assert found["differences"] == []
    assert list(found["methods"]) == ["tai_dpt"]
