"""How good the recognizer of a run is, from its figures and its predictions. Shapes: N images, C classes."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from t2ipal.card import base_name
from t2ipal.evaluation.calibration import Calibration
from t2ipal.evaluation.comparison import test_labels
from t2ipal.evaluation.curves import precision_recall, reliability, spread
from t2ipal.evaluation.decisions import precision_recall_f1
from t2ipal.evaluation.fitted import Fitted
from t2ipal.evaluation.metrics import Labels, Scores
from t2ipal.evaluation.report import WORST as BASELINE
from t2ipal.recipe import Recipe
from t2ipal.report.content import ClassQuality, Figures, Quality
from t2ipal.run_files import METRICS, PREDICTIONS
from t2ipal.stages import features
from t2ipal.store import Store
from t2ipal.tuning.trial import Trial
from t2ipal.vocabulary import Vocabulary


def quality_of(recipe: Recipe, store: Store) -> Quality:
    """Return it for an evaluated run."""
    metrics = store.read_json(METRICS)
    methods = tuple(_figures(name, figures) for name, figures in metrics["methods"].items())
    by_name = {each.name: each for each in methods}
    classes, method = Vocabulary.load(recipe.vocabulary).names, recipe.tune.method
    labels, scores = labels_of(recipe, store), scores_of(store, method, len(classes))
    baseline = scores_of(store, BASELINE, len(classes)) if BASELINE in by_name else None
    fitted = Fitted.from_json(store.read_json(Trial.of(recipe, store).result))
    probabilities = fitted.calibration.probabilities(scores)
    return Quality(
        dataset=base_name(metrics["dataset"]),
        split=metrics["split"],
        images=metrics["images"],
        tuned=by_name[method],
        baseline=by_name.get(BASELINE),
        methods=methods,
        curve=precision_recall(scores, labels),
        baseline_curve=None if baseline is None else precision_recall(baseline, labels),
        bins=reliability(probabilities, labels),
        probabilities=spread(probabilities, labels, (0.0, 1.0), 20),
        classes=tuple(_class(name, c, scores, baseline, labels, fitted) for c, name in enumerate(classes)),
    )


def labels_of(recipe: Recipe, store: Store) -> Labels:
    """Return the labels [N, C] of the test images."""
    return test_labels(store.shards(features.TEST), len(Vocabulary.load(recipe.vocabulary)))


def scores_of(store: Store, method: str, classes: int) -> Scores:
    """Return what a method says of the test images, [N, C]."""
    rows = store.shards(PREDICTIONS).read(method, ["scores"])["scores"].combine_chunks()
    scores: Scores = rows.flatten().to_numpy().reshape(-1, classes)
    return scores


def calibration_of(recipe: Recipe, store: Store) -> Calibration:
    """Return what makes probabilities of the tuned method's scores."""
    return Fitted.from_json(store.read_json(Trial.of(recipe, store).result)).calibration


def _figures(name: str, figures: Mapping[str, Any]) -> Figures:
    return Figures(
        name=name,
        mean_ap=figures["mAP"]["mean"],
        deviation=figures["mAP"]["std"],
        cf1=figures["CF1"],
        of1=figures["OF1"],
        top3_of1=figures["top3"]["OF1"],
        calibration_error=figures.get("ECE"),
        per_class=figures["per_class"],
    )


def _class(
    name: str, c: int, scores: Scores, baseline: Scores | None, labels: Labels, fitted: Fitted
) -> ClassQuality:
    held, threshold = labels[:, c], float(fitted.thresholds[c])
    span = min(float(scores[:, c].min()), threshold), max(float(scores[:, c].max()), threshold)
    decided = precision_recall_f1(scores[:, c, None] > threshold, held[:, None]) if held.any() else {}
    return ClassQuality(
        name=name,
        images=int(np.count_nonzero(held)),
        precision=decided.get("OP", 0.0),
        recall=decided.get("OR", 0.0),
        curve=precision_recall(scores[:, c], held),
        baseline=None if baseline is None else precision_recall(baseline[:, c], held),
        scores=spread(scores[:, c], held, span),
        threshold=threshold,
    )
