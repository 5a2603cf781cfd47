"""What a job checks of its recipe's names and paths before the first stage is paid for."""

import os
from collections.abc import Collection
from pathlib import Path

from t2ipal.errors import UserError
from t2ipal.recipe import Recipe

_WITH_BACKBONE = {"features", "tune", "evaluate", "bundle"}


def check_paths(recipe: Recipe) -> None:
    """Refuse, within a submitted job, paths that are relative in the recipe and lead nowhere.

    They lie in Ray's copy of the working directory, which holds what was below the directory that was
    submitted.
    """
    if "RAY_ADDRESS" not in os.environ:
        return
    for key, written in recipe.relative_paths().items():
        if not Path(written.path).exists():
            raise UserError(
                f"{key} is {written.text!r}, and nothing of that name came with the job: there is no "
                f"{written.path!r}",
                "submit from a directory that holds it, or give an absolute path that all nodes share",
            )


def check_backbone_name(recipe: Recipe, unfinished: Collection[str]) -> None:
    """Raise UserError for a backbone that open_clip does not know, if an unfinished stage needs it."""
    model = recipe.backbone.model
    # Importing open_clip takes seconds, and has nothing to say about folders and hubs.
    if _WITH_BACKBONE & set(unfinished) and ":" not in model and not os.path.isdir(model):
        from t2ipal.clip.backbone import check_backbone

        check_backbone(recipe.backbone)
