"""Which settings of a recipe determine which stage's output, and a hash of them.

Works on a recipe's plain data (`Recipe.settings()`), so that the data of an earlier run can be
compared too.
"""

import hashlib
import json
from collections.abc import Collection
from typing import Any

from t2ipal.method_names import sections_of

# stage -> (stages whose output it reads, settings of its own)
_INPUTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "captions": ((), ("seed", "vocabulary", "captions", "annotated_captions")),
    "images": (("captions",), ("images",)),
    "features": (("images",), ("backbone", "features")),
    "caption_features": (("captions",), ("backbone",)),
    "tune": (("features", "caption_features"), ("tune", "methods", "images.agreement")),
    "test_features": ((), ("vocabulary", "backbone", "evaluate.dataset", "evaluate.split")),
    "train_features": ((), ("vocabulary", "backbone", "evaluate.dataset", "evaluate.train_split")),
    "evaluate": (("tune", "test_features"), ("evaluate.dataset", "evaluate.split", "evaluate.baselines")),
    "bundle": (("tune", "evaluate"), ()),
}

# Settings that say how fast and where, not what. The batches of tuning, in `methods`, change the result.
_NO_EFFECT = (
    *(f"{section}.workers" for section in ("captions", "images", "features", "tune")),
    *(f"{section}.batch" for section in ("captions", "images", "features")),
    *(f"captions.engine.{key}" for key in ("gpu_memory_utilization", "max_num_batched_tokens")),
    *(f"captions.engine.{key}" for key in ("max_num_seqs", "enforce_eager")),
    *(f"captions.engine.{key}" for key in ("tensor_parallel_size", "pipeline_parallel_size")),
    "captions.endpoint",  # the same model on a machine of somebody else
    "tune.gpu",
    "tune.classes_without_samples",
    "tune.accumulate",
    "tune.features",
)

# Left out at these values. Of the first two sections a recipe has one; the others came later, and at the
# value here the output is what it was before.
_LEFT_OUT: dict[str, Any] = {
    "captions": None,
    "annotated_captions": None,
    "captions.prior": None,
    "captions.attempts": 1,
    "captions.drop_similar": None,
    "captions.endpoint": None,
    "images.captions": None,
    "images.revision": None,
    "images.variant": None,
    "images.compile": False,
    "images.decoding": "whole",
    "images.redraws": 3,  # but for images that were refused, which stay so where they are painted
    "images.agreement": None,
    "features.views": 1,
    "features.least_area": 0.5,
    "tune.images_per_class": None,
    "tune.seed": None,
    "tune.precision": "float32",
}

# Of settings that make something else than they once did: runs from before are other ones.
_VERSIONS = {"annotated_captions.path": 2}  # since 2 captions from a file have a drawn order

# Within a stage's own settings, those that only later stages read.
_LATER = {"images": ("images.agreement",)}


def fingerprints(recipe: dict[str, Any]) -> dict[str, str]:
    """Return a hash for each stage that changes exactly when a setting that determines its output does."""
    settings = _settings(recipe)
    keys = sorted(key for key in settings if _is_read(key, settings))
    stamped = {key: [settings[key], _VERSIONS[key]] if key in _VERSIONS else settings[key] for key in keys}
    return {
        stage: _hash({key: value for key, value in stamped.items() if _determines(stage, key)})
        for stage in _INPUTS
    }


def differences(
    recipe: dict[str, Any], other: dict[str, Any], stages: Collection[str] | None = None
) -> list[str]:
    """Return the dotted keys with an effect on some stage, or on some of `stages`, whose values differ, in
    order.
    """
    ours, theirs = _settings(recipe), _settings(other)
    absent = object()
    return [
        key
        for key in sorted(ours | theirs)
        if (_is_read(key, ours) or _is_read(key, theirs))
        and any(_determines(stage, key) for stage in (_INPUTS if stages is None else stages))
        and ours.get(key, absent) != theirs.get(key, absent)
    ]


def _settings(recipe: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested sections to dotted keys. The vocabulary stays whole: its order matters."""
    flat: dict[str, Any] = {}
    for key, value in recipe.items():
        dotted = prefix + key
        if dotted == "vocabulary":
            flat[dotted] = list(value.items()) if isinstance(value, dict) else value
        elif dotted in _LEFT_OUT and value == _LEFT_OUT[dotted]:
            continue
        elif isinstance(value, dict):
            flat |= _settings(value, dotted + ".")
        else:
            flat[dotted] = value
    return flat


def _is_read(key: str, settings: dict[str, Any]) -> bool:
    """Say whether a key is none of a method that a job with these settings does not tune, nor one of crops
    that it does not make.
    """
    if key == "features.least_area":
        return "features.views" in settings
    section, _, rest = key.partition(".")
    return section != "methods" or rest.partition(".")[0] in sections_of(settings.get("tune.method", ""))


def _determines(stage: str, key: str) -> bool:
    upstream, own = _INPUTS[stage]
    if _within(key, own) and not _within(key, (*_NO_EFFECT, *_LATER.get(stage, ()))):
        return True
    return any(_determines(earlier, key) for earlier in upstream)


def _within(key: str, names: tuple[str, ...]) -> bool:
    return any(key == name or key.startswith(name + ".") for name in names)


def _hash(settings: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
