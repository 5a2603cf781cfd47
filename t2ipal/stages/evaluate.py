"""Evaluate: every method of the recipe on the test features; figures as JSON, predictions as a table."""

import time
from typing import TYPE_CHECKING, Any

from t2ipal.errors import UserError
from t2ipal.recipe import Recipe
from t2ipal.stages import features, tune
from t2ipal.stages.report import StageReport
from t2ipal.store import Store
from t2ipal.tables import PREDICTIONS
from t2ipal.vocabulary import Vocabulary

if TYPE_CHECKING:
    from t2ipal.clip import Backbone
    from t2ipal.methods import Method

STAGE = "evaluate"
METRICS = "evaluation/metrics.json"
TABLE = "evaluation/predictions"  # one shard per method


def pending(recipe: Recipe, store: Store) -> list[str]:
    """Return [METRICS] until there are figures of this recipe."""
    if not store.exists(METRICS) or store.read_json(METRICS)["fingerprint"] != recipe.fingerprint(STAGE):
        return [METRICS]
    return []


def run(recipe: Recipe, store: Store) -> StageReport:
    """Score the test set. Needs finished features and tuning; no Ray: from features it is a few matrix
    products.
    """
    start = time.monotonic()
    missing = pending(recipe, store)
    if missing:
        _require(recipe, store)
        _evaluate(recipe, store)
    metrics = store.read_json(METRICS)
    return StageReport(
        stage=STAGE,
        rows=metrics["images"],
        shards_total=1,
        shards_done_before=1 - len(missing),
        seconds=time.monotonic() - start,
        notes={name: figures["mAP"]["mean"] for name, figures in metrics["methods"].items()},
    )


def _require(recipe: Recipe, store: Store) -> None:
    for stage, waiting in (
        ("features", features.pending(recipe, store)),
        ("tune", tune.pending(recipe, store)),
    ):
        if waiting:
            raise UserError(f"evaluate: {stage} is not complete", f"run the stage {stage} first")


def _evaluate(recipe: Recipe, store: Store) -> None:
    from t2ipal.clip import load_backbone
    from t2ipal.evaluation.report import measure

    classes = Vocabulary.load(recipe.vocabulary).names
    backbone = load_backbone(recipe.backbone)
    names = list(features.test_shards(recipe))
    figures = {}
    for name in recipe.evaluate.methods:
        method = tuned_method(name, backbone, recipe, store)
        scores, parts, labels = _predict(name, method, recipe, store, names)
        figures[name] = measure(scores, parts, labels, classes)
    metrics = {
        "fingerprint": recipe.fingerprint(STAGE),
        "dataset": recipe.evaluate.dataset,
        "split": recipe.evaluate.split,
        "images": len(labels),
        "methods": figures,
    }
    store.write_json(METRICS, metrics)


def tuned_method(name: str, backbone: "Backbone", recipe: Recipe, store: Store) -> "Method":
    """Return a method with the parameters that the run has tuned for it."""
    from safetensors.torch import load

    from t2ipal.methods import build_method

    method = build_method(name, backbone, Vocabulary.load(recipe.vocabulary).names, recipe)
    if name == recipe.tune.method:
        method.load_state_dict(load(store.read_bytes(tune.TUNED)))
    method.eval()
    return method


def _predict(
    name: str, method: "Method", recipe: Recipe, store: Store, shards: list[str]
) -> tuple[Any, dict[str, Any], Any]:
    """Write the predictions of one method; return scores and labels [N, C], and the scores of its parts."""
    import pyarrow as pa

    from t2ipal.clip.feature_tables import read_images, read_labels
    from t2ipal.evaluation.scoring import score
    from t2ipal.evaluation.thresholds import above

    count = len(Vocabulary.load(recipe.vocabulary))
    test = pa.concat_tables([store.shards(features.TEST).read(shard) for shard in shards])
    scores, parts = score(method, *read_images(test))
    found = above(scores, _thresholds(name, method, recipe, store))
    table = pa.table([test["image_id"], scores.tolist(), found], schema=PREDICTIONS)
    store.shards(TABLE).write(name, table)
    return scores, parts, read_labels(test, count).numpy()


def _thresholds(name: str, method: "Method", recipe: Recipe, store: Store) -> Any:
    import numpy as np

    from t2ipal.evaluation.scoring import score
    from t2ipal.evaluation.thresholds import best_f1_thresholds
    from t2ipal.tuning.session import load_tuning_set

    classes = Vocabulary.load(recipe.vocabulary).names
    if name == recipe.tune.method:
        known = store.read_json(tune.RESULT)["thresholds"]
        return np.array([known[each] for each in classes])
    data = load_tuning_set(recipe, store)
    scores, _ = score(method, data.whole, data.patches)
    return best_f1_thresholds(scores, data.labels.numpy())
