"""Schedulers of diffusers by name."""

import inspect
from typing import Any

from t2ipal.errors import UserError


def scheduler_class(name: str) -> Any:
    """Return the scheduler class of diffusers with this name; UserError if it has none."""
    import diffusers

    found = getattr(diffusers, name, None)
    if not (inspect.isclass(found) and issubclass(found, diffusers.SchedulerMixin)):
        raise UserError(
            f"images.scheduler is {name!r}, which is no scheduler of diffusers",
            "give the name of a class such as DDIMScheduler or DPMSolverMultistepScheduler, or leave it out",
        )
    return found
