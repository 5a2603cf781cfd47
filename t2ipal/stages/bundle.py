"""Bundle: the recognizer as a folder that loads without Ray."""

import time

from t2ipal.card import FORMAT
from t2ipal.errors import UserError
from t2ipal.recipe import Recipe
from t2ipal.results import Results
from t2ipal.run_files import BUNDLE, CARD, METRICS
from t2ipal.stages import evaluate, tune
from t2ipal.stages.report import StageReport
from t2ipal.store import Store
from t2ipal.tuning.source import short_digest
from t2ipal.tuning.trial import Trial

STAGE = "bundle"


def pending(recipe: Recipe, store: Store) -> list[str]:
    """Return [CARD] until there is the bundle of this recipe, of its tuning and of its evaluation."""
    if tune.pending(recipe, store) or evaluate.pending(recipe, store):
        return [CARD]
    return [] if Results(store, BUNDLE).are_whole(made_from(recipe, store)) else [CARD]


def run(recipe: Recipe, store: Store) -> StageReport:
    """Write the bundle. Needs tuning and evaluation; no Ray."""
    start = time.monotonic()
    missing = pending(recipe, store)
    if missing:
        for name, waiting in (
            (tune.STAGE, tune.pending(recipe, store)),
            (evaluate.STAGE, evaluate.pending(recipe, store)),
        ):
            if waiting:
                raise UserError(f"bundle: {name} is not complete", f"run the stage {name} first")
        _write(recipe, store)
    return StageReport(
        stage=STAGE,
        rows=len(store.read_json(CARD)["classes"]),
        shards_total=1,
        shards_done_before=1 - len(missing),
        seconds=time.monotonic() - start,
    )


def made_from(recipe: Recipe, store: Store) -> dict[str, str]:
    """Return what identifies the settings and the data of the bundle; FileNotFoundError while nothing is
    tuned or measured.
    """
    result = Trial.of(recipe, store).result
    files = [result] if recipe.evaluate.dataset is None else [result, METRICS]
    data = short_digest(*(store.read_bytes(name) for name in files))
    return {"recipe": recipe.fingerprint(STAGE), "data": data, "format": str(FORMAT)}


def _write(recipe: Recipe, store: Store) -> None:
    from t2ipal.bundle import save_bundle
    from t2ipal.evaluation.fitted import Fitted

    trial = Trial.of(recipe, store)
    fitted = Fitted.from_json(store.read_json(trial.result))
    save_bundle(store, recipe, trial.parameters(), fitted, made_from(recipe, store)["data"])
