"""Paths in a recipe: absolute in what is loaded, as they were written in what identifies the recipe.

A path in the recipe's own file is relative to that file. The same recipe in another folder, or in the copy
that a cluster makes of a working directory, is still the same recipe.
"""

from pathlib import Path
from typing import Any, NamedTuple

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
    key.
    """
    changed = {}
    for key in (*_MODELS, *_FOLDERS, *_FILES):
        section, last = _section(data, key)
        value = section.get(last)
        if isinstance(value, str) and _is_relative(key, value):
            section[last] = absolute(value, folder)
            changed[key] = Written(value, section[last])
    return changed


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
