"""What a stage's workers ask for, and what their speed depends on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from t2ipal.method_settings import Schedule
from t2ipal.recipe import Recipe
from t2ipal.section import Workers
from t2ipal.stages import evaluate
from t2ipal.vocabulary import Vocabulary

START, DEPLOY = "start", "deploy"  # what a job does before and after the stages of files


@dataclass(frozen=True)
class Basis:
    """A rate measured with the same `settings` holds; with other `told` ones it does, but that is said; with
    other `scales` it grows in proportion, and that is said.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    scales: dict[str, float] = field(default_factory=dict)
    told: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Ask:
    """The workers of a stage: at most how many, what each takes, and labels that its node must have."""

    most: int
    cpus: float
    gpus: float = 0.0
    on_driver: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)


DRIVER = Ask(1, 1.0, on_driver=True)


def ask(recipe: Recipe, stage: str) -> Ask:
    """Return what a stage asks for. Those without workers do their work in the driver's own process."""
    ranks, serve = recipe.tune.workers, recipe.serve
    cpus, gpus = (0.0, 1.0) if recipe.tune.gpu else (1.0, 0.0)
    pools = {
        "images": _pool(recipe.images.workers),
        "features": _pool(recipe.features.workers),
        DEPLOY: Ask(serve.replicas.min, serve.cpus, serve.gpus, labels=serve.labels),
    }
    if recipe.captions is not None and recipe.captions.endpoint is None:
        pools["captions"] = _pool(recipe.captions.workers)
    if ranks.max:
        pools["tune"] = Ask(ranks.max, cpus, gpus, labels=ranks.labels)
    return pools.get(stage, DRIVER)


def _pool(workers: Workers) -> Ask:
    return Ask(workers.max, workers.cpus, workers.gpus, labels=workers.labels)


def basis(recipe: Recipe, stage: str) -> Basis:
    """Return what the speed of a stage depends on; paths are as the recipe's file has them."""
    made: dict[str, Basis] = {
        "captions": _captions(recipe),
        "images": _images(recipe),
        "features": _features(recipe),
        "tune": _tune(recipe),
        "evaluate": Basis(_judged(recipe)),
        "bundle": Basis({"backbone": _backbone(recipe)}),
        "report": Basis({"backbone": _backbone(recipe)}),
        DEPLOY: Basis({"backbone": _backbone(recipe)}, told={"serve.replicas": recipe.serve.replicas.min}),
    }
    return made.get(stage, Basis())


def _captions(recipe: Recipe) -> Basis:
    if recipe.annotated_captions is not None:
        return Basis({"annotated_captions.format": Path(recipe.annotated_captions.path).suffix})
    section = recipe.settings()["captions"]
    settings = {"captions.model": section["model"], "captions.engine": section["engine"]}
    if section["endpoint"] is not None:
        settings = {"captions.model": section["model"], "captions.endpoint": section["endpoint"]["url"]}
    told = {f"captions.{key}": section[key] for key in ("prompt", "max_tokens", "batch", "attempts")}
    return Basis(settings, told=told)


def _images(recipe: Recipe) -> Basis:
    section = recipe.settings()["images"]
    same = ("model", "revision", "variant", "size", "dtype", "compile", "decoding", "scheduler")
    settings = {f"images.{key}": section[key] for key in same}
    # Two passes of the denoiser for each step, or one.
    settings["images.guidance above 1"] = section["guidance"] is None or section["guidance"] > 1
    told = {f"images.{key}": section[key] for key in ("batch", "options", "format", "quality")}
    return Basis(settings, {"images.steps": float(recipe.images.steps)}, told)


def _features(recipe: Recipe) -> Basis:
    settings = {"backbone": _backbone(recipe), "images.size": recipe.settings()["images"]["size"]}
    told = {
        "features.batch": recipe.features.batch,
        "evaluate.dataset": recipe.settings()["evaluate"]["dataset"],
    }
    return Basis(settings, told=told)


def _tune(recipe: Recipe) -> Basis:
    settings = {
        "tune.method": recipe.tune.method,
        "backbone": _backbone(recipe),
        "classes": len(Vocabulary.load(recipe.vocabulary)),
        "tune.gpu": recipe.tune.gpu,
        "tune.precision": recipe.tune.precision,
        "batch": {phase.name: phase.schedule.batch for phase in phases(recipe)},
    }
    told = {"tune.workers": recipe.tune.workers.max, "tune.accumulate": recipe.tune.accumulate}
    return Basis(settings, told=told | {"tune.features": recipe.tune.features})


def _judged(recipe: Recipe) -> dict[str, Any]:
    classes = len(Vocabulary.load(recipe.vocabulary))
    return {"backbone": _backbone(recipe), "methods": list(evaluate.methods(recipe)), "classes": classes}


def _backbone(recipe: Recipe) -> dict[str, Any]:
    section: dict[str, Any] = recipe.settings()["backbone"]
    return section


@dataclass(frozen=True)
class PhaseRows:
    """A phase of tuning as `t2ipal.methods` has it, without importing torch: from which rows it learns."""

    name: str
    rows: str  # images or captions
    schedule: Schedule
    templates: int = 0


def phases(recipe: Recipe) -> list[PhaseRows]:
    """Return the phases of the method that a job tunes."""
    settings, method = recipe.methods, recipe.tune.method
    if method == "tai_dpt":
        return [PhaseRows("tune", "captions", settings.tai_dpt.schedule, settings.tai_dpt.templates)]
    if method == "t2i_pal":
        return [_t2i_pal(recipe)]
    if method == "pvp":
        return _pvp(recipe)
    if settings.t2i_pal_pvp.judge == "pvp":
        return [*_pvp(recipe), _t2i_pal(recipe)]
    own = _t2i_pal(recipe)
    return [PhaseRows("judge", own.rows, own.schedule, own.templates), own]


def _t2i_pal(recipe: Recipe) -> PhaseRows:
    own = recipe.methods.t2i_pal
    return PhaseRows("tune", "images" if own.image_branch else "captions", own.schedule, own.templates)


def _pvp(recipe: Recipe) -> list[PhaseRows]:
    own = recipe.methods.pvp
    co_learn = PhaseRows("co-learn", "captions", own.schedule, own.templates)
    if not (own.visual_prompts and own.pretraining):
        return [co_learn]
    return [PhaseRows("pretrain", "captions", own.pretrain.schedule, own.pretrain.templates), co_learn]
