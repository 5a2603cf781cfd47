"""Text-to-image pipelines of diffusers: loaded as a recipe says, and what each one's call takes."""

import difflib
import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from diffusers import AutoPipelineForText2Image
from diffusers.pipelines.auto_pipeline import AUTO_TEXT2IMAGE_PIPELINES_MAPPING, _get_task_class

from t2ipal.errors import UserError
from t2ipal.images.schedulers import scheduler_class
from t2ipal.images_recipe import ImagesRecipe
from t2ipal.picturebook.weights import resolve

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

# Where pipelines keep the model that they call at every step.
_DENOISERS = ("unet", "transformer", "prior")


def load_pipeline(recipe: ImagesRecipe, device: str) -> Any:
    """Load the pipeline of a recipe on torch's `device`. A safety checker that it brings stays in force."""
    load: Any = AutoPipelineForText2Image.from_pretrained  # diffusers has no types
    where = {"revision": recipe.revision, "variant": recipe.variant}
    given = {name: value for name, value in where.items() if value is not None}
    pipeline = load(resolve(recipe.model), dtype=DTYPES[recipe.dtype], **given)
    if recipe.scheduler is not None:
        pipeline.scheduler = scheduler_class(recipe.scheduler).from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    pipeline = pipeline.to(device)
    _set_decoding(pipeline, recipe)
    if recipe.compile:
        for name in _DENOISERS:
            if (denoiser := getattr(pipeline, name, None)) is not None:
                denoiser.compile()
    return pipeline


def call_arguments(pipeline: Any, recipe: ImagesRecipe) -> dict[str, Any]:
    """Return the arguments of the pipeline's call that are the same for every image.

    Raises UserError for a setting that this pipeline's call does not take: many would pass over it in
    silence.
    """
    return _call_arguments(type(pipeline), recipe)


def check_settings(recipe: ImagesRecipe) -> None:
    """Raise the UserError of `load_pipeline` and `call_arguments` for names that diffusers, or the pipeline
    in a local folder, does not know. Loads no weights. Of a model on the hub only its pipeline would tell.
    """
    if recipe.scheduler is not None:
        scheduler_class(recipe.scheduler)
    if (pipeline := _pipeline_class(Path(resolve(recipe.model)).expanduser())) is not None:
        _call_arguments(pipeline, recipe)


def _pipeline_class(folder: Path) -> type | None:
    """Return the class that `load_pipeline` makes of a local folder; None where that is not known."""
    try:
        name = json.loads((folder / "model_index.json").read_bytes())["_class_name"]
        return cast(type, _get_task_class(AUTO_TEXT2IMAGE_PIPELINES_MAPPING, name))
    except (OSError, ValueError, KeyError, TypeError):  # none, or one that loading tells about
        return None


def _call_arguments(pipeline: type, recipe: ImagesRecipe) -> dict[str, Any]:
    accepted, name = _accepted(pipeline), pipeline.__name__
    height, width = recipe.height_and_width
    arguments = {"num_inference_steps": recipe.steps, "height": height, "width": width}
    for argument in ("prompt", "generator", *arguments):
        if argument not in accepted:
            raise UserError(
                f"images.model: the call of {name} does not take {argument}",
                "choose a text-to-image pipeline that does",
            )
    chosen = {
        "guidance": ("guidance_scale", recipe.guidance),
        "negative_prompt": ("negative_prompt", recipe.negative_prompt or None),
    }
    given = {field: pair for field, pair in chosen.items() if pair[1] is not None}
    given |= {f"options.{key}": (key, value) for key, value in recipe.options.items()}
    for field, (argument, value) in given.items():
        if argument not in accepted:
            near = difflib.get_close_matches(argument, accepted, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it takes {', '.join(accepted)}"
            raise UserError(
                f"images.{field}: the call of {name} does not take {argument}; {hint}",
                "set it to null" if field == "guidance" else "leave it out",
            )
        arguments[argument] = _as_declared(value, accepted[argument])
    return arguments


def _accepted(pipeline: type) -> Mapping[str, inspect.Parameter]:
    # What lies in a `**kwargs` is for callers of former versions: whatever is not known there is passed over.
    _, *parameters = inspect.signature(pipeline.__call__).parameters.items()
    return {name: each for name, each in parameters if each.kind is not each.VAR_KEYWORD}


def _as_declared(value: Any, parameter: inspect.Parameter) -> Any:
    """A recipe has lists only; where a pipeline wants a tuple it would fail on adding one to another."""
    wants_tuple = isinstance(parameter.default, tuple) or "tuple" in str(parameter.annotation).lower()
    return tuple(value) if isinstance(value, list) and wants_tuple else value


def _set_decoding(pipeline: Any, recipe: ImagesRecipe) -> None:
    if recipe.decoding == "whole":
        return
    method = {"slices": "enable_slicing", "tiles": "enable_tiling"}[recipe.decoding]
    if not hasattr(getattr(pipeline, "vae", None), method):
        raise UserError(
            f"images.decoding is {recipe.decoding!r}, which {type(pipeline).__name__} cannot do",
            "set it to whole, or leave it out",
        )
    getattr(pipeline.vae, method)()
