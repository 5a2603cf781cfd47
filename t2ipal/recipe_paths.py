"""Paths in a recipe: absolute in what is loaded, as they were written in what identifies the recipe.

A path in the recipe's own file is relative to that file. The same recipe in another folder, or in the copy
that a cluster makes of a working directory, is still the same recipe.
"""

import os
from pathlib import Path
from typing import Any, NamedTuple

from t2ipal.errors import UserError

# A model is a path if it begins like one, else a name (of a hub, or of a model of open_clip).
_MODELS = ("captions.model", "images.model", "backbone.model")
# A test set is always a path, save for the one that has a name.
_FOLDERS = ("evaluate.dataset", "evaluate.dataset.root")
_NAMES = ("picturebook",)
_FILES = ("captions.prior.corpus", "annotated_captions.path", "annotated_captions.exclude_images")


class Written(NamedTuple):
    """One path: as the recipe has it, and where that is on this machine."""

    text: str
    path: str


def resolve_paths(data: dict[str, Any], folder: Path) -> dict[str, Written]:
    """Make the paths in a recipe's plain data absolute, in place; return those that were not, by dotted
    key. UserError for the name of a model that is a folder here: it would be looked for on a hub.
    """
    changed = {}
    for key in (*_MODELS, *_FOLDERS, *_FILES):
        section, last = _section(data, key)
        value = section.get(last)
        if isinstance(value, str) and _is_relative(key, value):
            section[last] = absolute(value, folder)
            changed[key] = Written(value, section[last])
        elif isinstance(value, str) and key in _MODELS and not section.get("endpoint"):
            _check_name(key, value, folder)
    return changed


def _check_name(key: str, name: str, folder: Path) -> None:
    here = [place for place in (folder / name, Path(name)) if place.is_dir() and any(place.glob("*.json"))]
    if here and not Path(name).is_absolute():
        path = os.path.relpath(here[0].resolve(), folder)
        raise UserError(
            f"{key}: {name!r} is the name of a model on a hub, and there is a folder {str(here[0])!r}",
            f"write {path if path.startswith('../') else f'./{path}'!r} for the folder; for the model on the "
            "hub, rename the folder",
        )


def absolute(path: str, folder: Path) -> str:
    """Return a path that is relative to `folder`, or begins with ~, as an absolute one."""
    return str((folder / Path(path).expanduser()).resolve())


def as_written(data: dict[str, Any], written: dict[str, Written]) -> dict[str, Any]:
    """Put paths back into a recipe's plain data as they were written, in place; returns it."""
    for key, each in written.items():
        section, last = _section(data, key)
        if section.get(last) == each.path:
            section[last] = each.text
    return data


def _is_relative(key: str, value: str) -> bool:
    if key in _MODELS:
        return value.startswith(("./", "../", "~"))
    return not (key in _FOLDERS and value in _NAMES) and "://" not in value and not Path(value).is_absolute()


def _section(data: dict[str, Any], key: str) -> tuple[dict[str, Any], str]:
    """Return the section that holds a dotted key, empty where there is none, and the key's last part."""
    *names, last = key.split(".")
    section: Any = data
    for name in names:
        section = section.get(name) if isinstance(section, dict) else None
    return (section if isinstance(section, dict) else {}), last
