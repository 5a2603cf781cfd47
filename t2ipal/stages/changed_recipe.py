"""A run that goes on with a recipe that has changed in what is not made yet, or comes after the features.

Captions, images and their features cost most, and from its first row on a run keeps them for good:
`Store.claim` refuses a recipe that would change them. Tuning and what follows are made anew. What the former
recipe left of these is removed before the run says that they are the new one's, so that nothing of it can
pass for the new one's.
"""

from t2ipal.model_identity import has_begun
from t2ipal.recipe import Recipe
from t2ipal.run_files import BUNDLE, DEPLOY, EVALUATION, REPORT, TUNE
from t2ipal.stages import bundle, evaluate, features, tune
from t2ipal.store import RUN_FILE, Store
from t2ipal.tuning.source import AGREEMENT

KEPT = ("captions", "images", features.IMAGES, features.CAPTIONS)  # once begun, never made anew
# Stages that are made anew, and the folders of what they leave.
_REMADE: dict[str, tuple[str, ...]] = {
    tune.STAGE: (TUNE,),
    features.TEST: (features.TEST,),
    evaluate.STAGE: (EVALUATION,),
    bundle.STAGE: (BUNDLE, DEPLOY, REPORT),
}


def begun(store: Store) -> tuple[str, ...]:
    """Return the stages whose settings, models and files bind the run: of those that are kept, the ones of
    which there are rows or, of captions, drafts and the prior that they follow. A recipe that was refused
    before its first row may so be corrected.
    """
    return tuple(stage for stage in KEPT if has_begun(stage, store))


def follow_recipe(recipe: Recipe, store: Store) -> list[str]:
    """Bind a run to the recipe that has claimed what is `begun`; return the stages that are to be made anew
    as their settings, or those of stages before them, have changed.
    """
    bound, now = store.read_json(RUN_FILE)["stages"], recipe.fingerprints()
    changed = [stage for stage in (*KEPT, *_REMADE) if bound.get(stage) != now[stage]]
    if not changed:
        return []
    left = {stage: _REMADE[stage] for stage in changed if stage in _REMADE}
    remade = [stage for stage, folders in left.items() if any(store.files(folder) for folder in folders)]
    store.bind(recipe, without=changed)  # a job that is killed now leaves folders that are no longer whole
    for folder in (folder for folders in left.values() for folder in folders):
        store.delete_folder(folder)
    if recipe.images.agreement is None:
        store.delete_folder(AGREEMENT)  # verdicts of another filter tell what they are of
    store.bind(recipe)
    return remade


def claim_tables(recipe: Recipe, store: Store) -> None:
    """Claim what a run keeps for a job that completes this alone, and leaves to the run what follows from it.

    Where some of it is not begun, and the recipe calls for another, nothing follows yet, and the run becomes
    the recipe's as it does in a whole job.
    """
    store.claim(recipe, begun(store))
    bound, now = store.read_json(RUN_FILE)["stages"], recipe.fingerprints()
    if any(bound.get(stage) != now[stage] for stage in KEPT):
        follow_recipe(recipe, store)
