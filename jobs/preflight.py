"""What a job checks of its recipe's paths before the first stage is paid for."""

from pathlib import Path

from jobs.checks import joins_cluster
from t2ipal.errors import UserError
from t2ipal.recipe import Recipe


def check_paths(recipe: Recipe) -> None:
    """Refuse, on a cluster, paths that are relative in the recipe and lead nowhere.

    Within a submitted job they lie in Ray's copy of the working directory, which holds what was below the
    directory that was submitted.
    """
    if not joins_cluster():
        return
    for key, written in recipe.relative_paths().items():
        if not Path(written.path).exists():
            raise UserError(
                f"{key} is {written.text!r}, and there is no {written.path!r} where the job runs",
                "give an absolute path that all nodes share, or, with ray job submit, submit from a "
                "directory that holds it",
            )
