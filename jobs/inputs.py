"""What comparisons and sweeps begin with: photos to score on, and finished features."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from jobs.checks import check_models, models_are_local
from jobs.console import say, stage_line
from jobs.nodes import check_nodes
from jobs.ray_session import RaySession
from jobs.resources import check_resources
from t2ipal.errors import UserError
from t2ipal.model_identity import check_models_unchanged
from t2ipal.recipe import Recipe
from t2ipal.recipe_paths import absolute
from t2ipal.run_files import CAPTION_PRIOR
from t2ipal.stages import captions, compare, features, images
from t2ipal.store import Store

OF_THE_PHOTOS = ("test_features", "train_features")


def with_photos(recipe: Recipe, dataset: str | None, split: str | None) -> Recipe:
    """Return the recipe with other photos to score on; UserError when there are none."""
    changes: dict[str, Any] = {"split": split} if split else {}
    if dataset:
        changes["dataset"] = dataset if dataset == "picturebook" else absolute(dataset, Path.cwd())
    recipe = recipe.with_evaluate(**changes)
    if recipe.evaluate.dataset is None:
        raise UserError(
            "there are no photos to evaluate on: evaluate.dataset is null", "give a folder with --dataset"
        )
    return recipe


@contextmanager
def features_completed(
    recipe: Recipe, run: Store, out: Store, tables: Sequence[str], scores: bool, tunes: bool
) -> Iterator[None]:
    """Within, the features of a claimed run are complete, and so are `tables` of photos in `out`.

    `scores` says that methods are scored then, `tunes` that some are tuned first. Ray is there unless
    neither follows and nothing was missing.
    """
    check_models_unchanged(recipe, run)
    work = {stage.STAGE: stage.pending(recipe, run) for stage in (captions, images)}
    work[features.STAGE] = [
        *features.pending(recipe, run, features.OF_TUNING),
        *features.pending(recipe, out, tables),
    ]
    check_models(recipe, work | {"tune": ["trials"]}, counted=run.exists(CAPTION_PRIOR))
    if tunes:
        work[compare.STAGE] = ["trials"]
    stages = [stage for stage in work if work[stage]]
    with session(recipe, stages) if stages or scores else nullcontext():
        for stage in (captions, images):
            say(stage_line(stage.run(recipe, run)))
        say(stage_line(features.run(recipe, run, features.OF_TUNING)))
        say(stage_line(features.run(recipe, out, tables)))
        yield


@contextmanager
def session(recipe: Recipe, stages: Sequence[str]) -> Iterator[None]:
    """Within, Ray is started, and large enough for the stages."""
    with RaySession(recipe.ray, offline=models_are_local(recipe)) as started:
        started.start()
        check_resources(recipe, stages, started.resources(), started.joins)
        check_nodes(recipe, stages, started.joins)
        yield
