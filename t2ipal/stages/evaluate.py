"""Evaluate: the tuned method and the recipe's baselines on the test features; figures as JSON, predictions as
a table.

A recipe without a test set has nothing to evaluate, and the stage leaves nothing.
"""

import time
from posixpath import basename
from typing import TYPE_CHECKING, Any

from t2ipal.errors import UserError
from t2ipal.method_names import parse_name
from t2ipal.recipe import Recipe
from t2ipal.results import Results
from t2ipal.run_files import EVALUATION, METRICS, PREDICTIONS
from t2ipal.shards import Manifest
from t2ipal.stages import features, tune
from t2ipal.stages.effort import Effort, Work
from t2ipal.stages.report import StageReport
from t2ipal.store import Store
from t2ipal.tuning.source import SYNTHETIC, short_digest
from t2ipal.tuning.trial import Trial
from t2ipal.vocabulary import Vocabulary

if TYPE_CHECKING:
    from t2ipal.clip import Backbone
    from t2ipal.evaluation.outcome import Outcome

STAGE = "evaluate"
SCORED = "scored"  # its work: images, by each method
TABLE = PREDICTIONS


def pending(recipe: Recipe, store: Store) -> list[str]:
    """Return [METRICS] until there are figures and predictions of this recipe, of its tuning and of its test
    features.

    The test set itself is not opened: when it has changed, its features are pending.
    """
    if recipe.evaluate.dataset is None:
        return []
    if tune.pending(recipe, store):
        return [METRICS]
    origin = made_from(recipe, store)
    is_done = _results(store).are_whole(origin) and _are_predicted(recipe, store, origin)
    return [] if is_done else [METRICS]


def run(recipe: Recipe, store: Store) -> StageReport:
    """Score the test set. Needs finished features and tuning; no Ray: from features it is a few matrix
    products.
    """
    start = time.monotonic()
    if recipe.evaluate.dataset is None:
        return StageReport(STAGE, rows=0, shards_total=0, shards_done_before=0, seconds=0.0)
    missing, effort = pending(recipe, store), Effort()
    if missing:
        _require(recipe, store)
        effort = _evaluate(recipe, store)
    metrics = store.read_json(METRICS)
    return StageReport(
        stage=STAGE,
        rows=metrics["images"],
        shards_total=1,
        shards_done_before=1 - len(missing),
        seconds=time.monotonic() - start,
        notes={name: figures["mAP"]["mean"] for name, figures in metrics["methods"].items()},
        effort=effort,
    )


def _require(recipe: Recipe, store: Store) -> None:
    for stage, waiting in (
        ("features", features.pending(recipe, store)),
        ("tune", tune.pending(recipe, store)),
    ):
        if waiting:
            raise UserError(f"evaluate: {stage} is not complete", f"run the stage {stage} first")


def methods(recipe: Recipe) -> tuple[str, ...]:
    """Return the names of what is measured, which are those of the shards of predictions too."""
    return () if recipe.evaluate.dataset is None else (*recipe.evaluate.baselines, recipe.tune.method)


def tells_its_origin(manifest: Manifest) -> bool:
    """Say whether a manifest of predictions says what they were made from; those of the first runs do not."""
    return bool(manifest.extra)


def made_from(recipe: Recipe, store: Store) -> dict[str, str]:
    """Return what identifies the settings and the data of the figures and of each method's predictions;
    FileNotFoundError while nothing is tuned.
    """
    test = store.shards(features.TEST)
    tuned = store.read_bytes(Trial.of(recipe, store).result)
    data = short_digest(tuned, test.digest(test.done()) or "")
    return {"fingerprint": recipe.fingerprint(STAGE), "data": data}


def _evaluate(recipe: Recipe, store: Store) -> Effort:
    from t2ipal.clip import load_backbone
    from t2ipal.evaluation.report import summarise

    backbone = load_backbone(recipe.backbone)
    origin, count = made_from(recipe, store), 0
    start = time.monotonic()
    figures: dict[str, Any] = {}
    for name in methods(recipe):
        outcome = _assess(name, backbone, recipe, store)
        count = len(outcome.test.ids)
        store.shards(TABLE).write(name, outcome.predictions(), dict(origin))
        figures[name] = summarise([outcome.figures(Vocabulary.load(recipe.vocabulary).names)])
    evaluate = recipe.evaluate
    about = {"dataset": evaluate.dataset, "split": evaluate.split, "images": count}
    _results(store).write_json(basename(METRICS), {**about, "methods": figures}, origin)
    return Effort({SCORED: Work(count * len(figures), time.monotonic() - start)})


def _are_predicted(recipe: Recipe, store: Store, origin: dict[str, str]) -> bool:
    done = store.shards(TABLE).done()
    return all(
        name in done and (done[name].extra == origin or not tells_its_origin(done[name]))
        for name in methods(recipe)
    )


def _results(store: Store) -> Results:
    return Results(store, EVALUATION)


def _assess(name: str, backbone: "Backbone", recipe: Recipe, store: Store) -> "Outcome":
    from t2ipal.evaluation.fitted import Fitted, fit
    from t2ipal.evaluation.outcome import assess
    from t2ipal.methods import build_method

    trial = Trial.of(recipe, store)
    if name == trial.method:
        method = trial.load(backbone)
        fitted = Fitted.from_json(store.read_json(trial.result))
    else:
        classes = Vocabulary.load(recipe.vocabulary).names
        method = build_method(name, backbone, classes, recipe.methods, recipe.seed).eval()
        fitted = fit(recipe, store, method, SYNTHETIC, parse_name(name).standardised)
    test = store.shards(features.TEST)
    return assess(method, fitted, len(Vocabulary.load(recipe.vocabulary)), test, list(test.done()))
