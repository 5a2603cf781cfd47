"""Nothing that a run learns or chooses depends on the test set."""

import random

import pytest

from t2ipal.run_files import METRICS
from t2ipal.stages import evaluate, tune
from t2ipal.tuning.trial import Trial
from tests.finished_images import compute_features, finished_images
from tests.whole_table import read_all

BASELINES = ["zero_shot", "zero_shot_standardised", "zero_shot_dense", "zero_shot_ensemble_standardised"]


def run(folder, shuffled, method):
    """Tune and evaluate; of the test set's labels some order."""
    recipe, store = finished_images(folder, tune={"method": method}, evaluate={"baselines": BASELINES})
    if shuffled:
        path = folder / "data" / "test.csv"
        head, *lines = path.read_text().splitlines()
        names, labels = zip(*(line.split(",") for line in lines), strict=True)
        other = random.Random(0).sample(labels, len(labels))
        path.write_text("\n".join([head, *map(",".join, zip(names, other, strict=True))]))
    compute_features(recipe, store)
    tune.run(recipe, store)
    evaluate.run(recipe, store)
    return recipe, store


@pytest.mark.parametrize("method", ["t2i_pal", "t2i_pal_pvp"])
def test_other_labels_of_the_test_set_change_figures_and_nothing_else(tmp_path, method):
    (recipe, store), (_, other) = (run(tmp_path / str(each), each, method) for each in (False, True))
    tested = [read_all(each.shards("test_features")) for each in (store, other)]
    assert tested[0]["labels"] != tested[1]["labels"]
    assert tested[0].drop(["labels"]).equals(tested[1].drop(["labels"]))
    trial = Trial.of(recipe, store)
    # Parameters; the log, the thresholds and the calibration.
    for name in (trial.tuned, trial.result):
        assert store.read_bytes(name) == other.read_bytes(name)
    for name in (*BASELINES, method):
        # Scores, and the classes above the thresholds.
        predictions = [each.shards(evaluate.TABLE).read(name) for each in (store, other)]
        assert predictions[0].equals(predictions[1])
        figures = [each.read_json(METRICS)["methods"][name] for each in (store, other)]
        assert figures[0]["mAP"] != figures[1]["mAP"]
