"""Evaluate: every method of the recipe on the test features; figures as JSON, predictions as a table.

A recipe without a test set has nothing to evaluate, and the stage leaves nothing.
"""

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from t2ipal.errors import UserError
from t2ipal.recipe import Recipe
from t2ipal.run_files import METRICS, RESULT, TUNED
from t2ipal.stages import features, tune
from t2ipal.stages.report import StageReport
from t2ipal.store import Store
from t2ipal.tables import PREDICTIONS
from t2ipal.tuning.source import short_digest, source_shards
from t2ipal.vocabulary import Vocabulary

if TYPE_CHECKING:
    from t2ipal.clip import Backbone
    from t2ipal.methods import Method

STAGE = "evaluate"
TABLE = "evaluation/predictions"  # one shard per method


def pending(recipe: Recipe, store: Store) -> list[str]:
    """Return [METRICS] until there are figures of this recipe, of its tuning and of its test features.

    The test set itself is not opened: when it has changed, its features are pending.
    """
    if recipe.evaluate.dataset is None:
        return []
    if not store.exists(METRICS) or tune.pending(recipe, store):
        return [METRICS]
    metrics = store.read_json(METRICS)
    current = all(metrics.get(key) == value for key, value in _origin(recipe, store).items())
    return [] if current else [METRICS]


def run(recipe: Recipe, store: Store) -> StageReport:
    """Score the test set. Needs finished features and tuning; no Ray: from features it is a few matrix
    products.
    """
    start = time.monotonic()
    if recipe.evaluate.dataset is None:
        return StageReport(STAGE, rows=0, shards_total=0, shards_done_before=0, seconds=0.0)
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


def _origin(recipe: Recipe, store: Store) -> dict[str, str]:
    """Return what identifies the settings and the data of the figures."""
    test = store.shards(features.TEST)
    data = short_digest(store.read_bytes(RESULT), test.digest(test.done()) or "")
    return {"fingerprint": recipe.fingerprint(STAGE), "data": data}


def _evaluate(recipe: Recipe, store: Store) -> None:
    from t2ipal.clip import load_backbone
    from t2ipal.evaluation.report import measure, summarise

    classes = Vocabulary.load(recipe.vocabulary).names
    backbone = load_backbone(recipe.backbone)
    made_from = _origin(recipe, store)
    figures = {}
    for name in recipe.evaluate.methods:
        tested, thresholds = _predict(name, tuned_method(name, backbone, recipe, store), recipe, store)
        figures[name] = summarise([measure(tested.scores, tested.parts, tested.labels, classes, thresholds)])
    metrics = {
        **made_from,
        "dataset": recipe.evaluate.dataset,
        "split": recipe.evaluate.split,
        "images": len(tested.labels),
        "methods": figures,
    }
    store.write_json(METRICS, metrics)


def tuned_method(name: str, backbone: "Backbone", recipe: Recipe, store: Store) -> "Method":
    """Return a method with the parameters that the run has tuned for it."""
    from safetensors.torch import load

    from t2ipal.methods import build_method

    method = build_method(name, backbone, Vocabulary.load(recipe.vocabulary).names, recipe)
    if name == recipe.tune.method:
        method.load_state_dict(load(store.read_bytes(TUNED)))
    method.eval()
    return method


class Scored(NamedTuple):
    """Scores of N images, without their features."""

    ids: list[str]
    scores: Any  # [N, C]
    parts: dict[str, Any]  # of each part of the answer, [N, C]
    labels: Any  # [N, C] bool


def _predict(name: str, method: "Method", recipe: Recipe, store: Store) -> tuple[Scored, Any]:
    """Write the predictions of one method on the test set, and return them with what its images hold, and
    the thresholds [C].
    """
    import pyarrow as pa

    from t2ipal.evaluation.thresholds import above

    test = _score(method, recipe, store, features.TEST, list(store.shards(features.TEST).done()))
    thresholds = _thresholds(name, method, recipe, store)
    found = above(test.scores, thresholds)
    table = pa.table([test.ids, test.scores.tolist(), found], schema=PREDICTIONS)
    store.shards(TABLE).write(name, table)
    return test, thresholds


def _thresholds(name: str, method: "Method", recipe: Recipe, store: Store) -> Any:
    import numpy as np

    from t2ipal.evaluation.thresholds import best_f1_thresholds

    if name == recipe.tune.method:
        known = store.read_json(RESULT)["thresholds"]
        return np.array([known[each] for each in Vocabulary.load(recipe.vocabulary).names])
    tuning = _score(method, recipe, store, features.IMAGES, source_shards(recipe, store)[0])
    return best_f1_thresholds(tuning.scores, tuning.labels)


def _score(method: "Method", recipe: Recipe, store: Store, table: str, shards: Sequence[str]) -> Scored:
    """Score a table of features shard by shard: of all images together only the scores are held."""
    import numpy as np

    scored = list(_score_each(method, len(Vocabulary.load(recipe.vocabulary)), store, table, shards))
    return Scored(
        [each for part in scored for each in part.ids],
        np.concatenate([part.scores for part in scored]),
        {name: np.concatenate([part.parts[name] for part in scored]) for name in scored[0].parts},
        np.concatenate([part.labels for part in scored]),
    )


def _score_each(
    method: "Method", classes: int, store: Store, table: str, shards: Sequence[str]
) -> Iterator[Scored]:
    from t2ipal.clip.feature_tables import read_images, read_labels
    from t2ipal.evaluation.scoring import score

    for shard in shards:
        rows = store.shards(table).read(shard)
        if rows.num_rows:  # of a shard may be nothing that was kept
            ids, labels = rows["image_id"].to_pylist(), read_labels(rows, classes).numpy()
            yield Scored(ids, *score(method, *read_images(rows)), labels)
