"""A run that goes on with a recipe that has changed in what comes after the features.

Captions, images and their features cost most, and a run keeps them for good: `Store.claim` refuses a recipe
that would change them. Tuning and what follows are made anew. What the former recipe left of these is removed
before the run says that they are the new one's, so that nothing of it can pass for the new one's.
"""

from t2ipal.model_identity import MODELS_FILE
from t2ipal.recipe import Recipe
from t2ipal.run_files import BUNDLE, DEPLOY, EVALUATION, TUNE
from t2ipal.stages import bundle, captions, evaluate, features, tune
from t2ipal.store import RUN_FILE, Store
from t2ipal.tuning.source import AGREEMENT

KEPT = ("captions", "images", features.IMAGES, features.CAPTIONS)  # stages whose settings bind a run
# Stages that are made anew, and the folders of what they leave.
_REMADE: dict[str, tuple[str, ...]] = {
    tune.STAGE: (TUNE,),
    features.TEST: (features.TEST,),
    evaluate.STAGE: (EVALUATION,),
    bundle.STAGE: (BUNDLE, DEPLOY),
}


def forget_refused(store: Store) -> None:
    """Unbind a run in which nothing is made yet: a recipe that was refused before its first row may be
    corrected, and so may the files that it names.
    """
    # Nearly always the first look is enough; the second one is at each file.
    if store.files(captions.STAGE) or any("/" in store.name_of(file) for file in store.all_files()):
        return
    for name in (RUN_FILE, MODELS_FILE):
        if store.exists(name):
            store.delete(name)


def follow_recipe(recipe: Recipe, store: Store) -> list[str]:
    """Bind a run to the recipe that has claimed what it keeps; return the stages that are to be made anew as
    their settings, or those of stages before them, have changed.
    """
    bound, now = store.read_json(RUN_FILE)["stages"], recipe.fingerprints()
    changed = [stage for stage in _REMADE if bound.get(stage) != now[stage]]
    if not changed:
        return []
    store.bind(recipe, without=changed)  # a job that is killed now leaves folders that are no longer whole
    for folder in (folder for stage in changed for folder in _REMADE[stage]):
        store.delete_folder(folder)
    if recipe.images.agreement is None:
        store.delete_folder(AGREEMENT)  # verdicts of another filter tell what they are of
    store.bind(recipe)
    return changed
