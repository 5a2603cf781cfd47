"""Pydantic's findings in the words of the person who wrote the file."""

import difflib
import reprlib
from collections.abc import Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

# For values of another type; pydantic's own words name types of Python and classes of ours.
_WANTED = {
    "int_type": "no whole number",
    "float_type": "no number",
    "bool_type": "neither true nor false",
    "string_type": "no text; put it in quotes if it is meant as such",
    "tuple_type": "no list; write it as [a, b]",
    "dict_type": "no section; write keys and their values below it",
    "model_type": "no section; write keys and their values below it",
}


def describe(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """Return one line for each finding: the dotted key, what is wrong, and for an unknown key the nearest
    right one.
    """
    return [_line(finding, model) for finding in error.errors()]


def _line(finding: Any, model: type[BaseModel]) -> str:
    kind, loc = finding["type"], finding["loc"]
    key = ".".join(map(str, loc))
    message = finding["msg"].removeprefix("Value error, ").replace("Tuple should", "List should")
    if kind in _WANTED:
        return f"{key} is {reprlib.repr(finding['input'])}, which is {_WANTED[kind]}"
    if kind == "missing" and isinstance(loc[-1], int):
        return f"{'.'.join(map(str, loc[:-1]))}: the list is too short"
    if kind == "missing":
        return f"the key {key!r} is missing"
    if kind == "extra_forbidden":
        return f"the key {key!r} is unknown; {_nearest(str(loc[-1]), _section(model, loc[:-1]))}"
    return f"{key}: {message}" if key else message  # without a key it is about the whole


def _section(model: type[BaseModel], loc: Sequence[str | int]) -> type[BaseModel]:
    """Return the class of the section at a location, which exists: a key in it was refused."""
    for name in loc:
        if isinstance(name, int):  # one of several sections
            continue
        annotation = model.model_fields[str(name)].annotation
        sections = [
            each
            for each in (annotation, *get_args(annotation))  # a section, or a section | None
            if isinstance(each, type) and issubclass(each, BaseModel)
        ]
        if not sections:
            raise TypeError(f"{name} is not a section")
        model = sections[0]
    return model


def _nearest(key: str, section: type[BaseModel]) -> str:
    names = list(section.model_fields)
    near = difflib.get_close_matches(key, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"it can be one of: {', '.join(names)}"
