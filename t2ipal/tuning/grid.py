"""The points of a sweep: a recipe with some of its fields changed, each to every one of some values.

Only what tuning reads may change, so that all points learn from the same features.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import yaml
from pydantic import ValidationError

from t2ipal.errors import UserError
from t2ipal.method_names import sections_of
from t2ipal.method_settings import MethodsSettings
from t2ipal.recipe import Recipe, TuneRecipe
from t2ipal.section import Section
from t2ipal.validation import describe
from t2ipal.yaml_file import parse_yaml

SEED = "tune.seed"
OF_TUNE = ("method", "holdout", "images_per_class", "seed")  # the others change no result

Settings = dict[str, Any]  # by dotted key of the recipe


class _Swept(Section):
    """The sections of a recipe whose fields may be swept."""

    methods: MethodsSettings
    tune: TuneRecipe


@dataclass(frozen=True)
class Point:
    """The recipe with `settings` in the place of its own."""

    settings: Settings
    recipe: Recipe


def points_of(recipe: Recipe, given: Sequence[str]) -> list[Point]:
    """Return every combination of values, given as KEY=VALUE,VALUE, in the order of a counter: the last key
    changes fastest. Values are written as in a recipe.

    UserError for a key that is none of tuning or that no point reads, and for a value that a recipe refuses.
    """
    axes: dict[str, list[Any]] = {}
    for text in given:
        key, values = _axis(text)
        if key in axes:
            raise UserError(f"--set {key} is given twice", "give all of its values behind one --set")
        axes[key] = values
    if not axes:
        raise UserError(
            "there is nothing to sweep",
            "give --set KEY=VALUE,VALUE, for example --set methods.t2i_pal.alpha=0.2,0.5,0.8",
        )
    points = [_point(recipe, dict(zip(axes, values, strict=True))) for values in product(*axes.values())]
    _refuse_repeated(points)
    _refuse_unread(points, list(axes))
    return points


def _axis(text: str) -> tuple[str, list[Any]]:
    key, equals, values = text.partition("=")
    key = key.strip()
    if not equals or not values.strip():
        raise UserError(f"--set {text!r} gives no values", "write it as KEY=VALUE,VALUE")
    _check_key(key)
    try:
        parsed = parse_yaml(f"[{values}]")
    except yaml.YAMLError as error:
        raise UserError(
            f"the values of --set {text!r} cannot be read", "write them as in a recipe, with commas between"
        ) from error
    return key, list(parsed)


def _check_key(key: str) -> None:
    section, _, field = key.partition(".")
    if (section == "methods" and field) or (section == "tune" and field in OF_TUNE):
        return
    allowed = [*(f"tune.{each}" for each in OF_TUNE), "fields of methods.*"]
    near = difflib.get_close_matches(key, allowed, n=1)
    if section == "tune" and field in TuneRecipe.model_fields:
        problem = f"{key} changes no result, only how tuning runs"
    elif section == "tune":
        problem = f"there is no {key}"
    else:
        problem = f"{key} is none of tuning: all points of a sweep learn from the same features"
    raise UserError(problem, f"did you mean {near[0]!r}?" if near else f"sweep {', '.join(allowed)}")


def _point(recipe: Recipe, settings: Settings) -> Point:
    data = {name: getattr(recipe, name).model_dump() for name in _Swept.model_fields}
    for key, value in settings.items():
        _put(data, key, value)
    try:
        swept = _Swept.model_validate(data)
    except ValidationError as error:
        problems = "; ".join(describe(error, _Swept))
        raise UserError(f"--set {_text(settings)}: {problems}", "correct it and start again") from error
    changed = recipe.model_copy(update={"methods": swept.methods, "tune": swept.tune})
    read = swept.model_dump()
    return Point({key: _get(read, key) for key in settings}, changed)


def _put(data: dict[str, Any], key: str, value: Any) -> None:
    *names, last = key.split(".")
    section: Any = data
    for name in names:
        section = section.setdefault(name, {})
        if not isinstance(section, dict):
            raise UserError(f"--set {key}: {name} is no section of the recipe", "name a field of a section")
    section[last] = value


def _get(data: Mapping[str, Any], key: str) -> Any:
    found: Any = data
    for name in key.split("."):
        found = found[name]
    return found


def _text(settings: Settings) -> str:
    return " ".join(f"{key}={value}" for key, value in settings.items())


def _refuse_repeated(points: Sequence[Point]) -> None:
    seen: list[Settings] = []
    for point in points:
        if point.settings in seen:
            raise UserError(f"{_text(point.settings)} is there twice", "give each value once")
        seen.append(point.settings)


def _refuse_unread(points: Sequence[Point], keys: Sequence[str]) -> None:
    """A sweep of what no method reads would be a table of noise, or of one number."""
    methods = sorted({point.recipe.tune.method for point in points})
    for key in keys:
        section, _, rest = key.partition(".")
        name = rest.partition(".")[0]
        if section == "methods" and not any(name in sections_of(method) for method in methods):
            raise UserError(
                f"{key} is not read by {' or '.join(methods)}, which the sweep tunes",
                "sweep a field of a method that is tuned, or choose another one with --set tune.method=NAME",
            )
