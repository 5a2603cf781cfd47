"""Bundle: the recognizer as a folder that loads without Ray."""

import time

from t2ipal.errors import UserError
from t2ipal.recipe import Recipe
from t2ipal.stages import evaluate, tune
from t2ipal.stages.report import StageReport
from t2ipal.store import Store

STAGE = "bundle"
CARD = "bundle/recognizer.json"


def pending(recipe: Recipe, store: Store) -> list[str]:
    """Return [CARD] until there is the bundle of this recipe."""
    if not store.exists(CARD) or store.read_json(CARD)["provenance"]["recipe"] != recipe.fingerprint(STAGE):
        return [CARD]
    return []


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


def _write(recipe: Recipe, store: Store) -> None:
    from t2ipal.bundle import save_bundle

    thresholds = store.read_json(tune.RESULT)["thresholds"]
    save_bundle(store, recipe, store.read_bytes(tune.TUNED), thresholds)
