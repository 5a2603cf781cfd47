"""Recognizers by name: METHOD, METHOD_standardised, METHOD-without-PART.

t2i_pal                       a method with the recipe's settings
t2i_pal-without-adapter       the same without one of its parts
zero_shot_standardised        the same with its scores standardised (t2ipal.methods.standardise)
supervised                    T2I-PAL's image side, tuned on labelled photos: an upper bound
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from t2ipal.errors import UserError
from t2ipal.method_settings import MethodsSettings

UNTUNED = ("zero_shot", "zero_shot_ensemble", "zero_shot_dense")
TUNED = ("tai_dpt", "pvp", "t2i_pal", "t2i_pal_pvp")  # those that a job can tune and deploy
NAMES = (*UNTUNED, *TUNED, "supervised")
WITHOUT, STANDARDISED = "-without-", "_standardised"

Source = Literal["nothing", "synthetic", "labelled"]  # what a method is tuned on

# method -> part -> the settings that switch it off, by dotted key
ABLATIONS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "t2i_pal": {
        "prompts": {"t2i_pal.prompts": False},
        "adapter": {"t2i_pal.adapter": None},
        "heatmap": {"t2i_pal.heatmap": False},
        "prototypes": {"t2i_pal.prototypes": False},
        "captions": {"t2i_pal.caption_branch": False},
        "images": {"t2i_pal.image_branch": False},
    },
    "pvp": {
        "pretraining": {"pvp.pretraining": False},
        "adapter": {"pvp.adapter": False},
        "contrast": {"pvp.contrast": 0.0},
        "visual_prompts": {"pvp.visual_prompts": False},
        "text_prompts": {"pvp.text_prompts": False},
    },
    "t2i_pal_pvp": {
        "doubt": {"t2i_pal_pvp.doubt": 0.0},
        "visual": {"t2i_pal_pvp.share": 0.0},
        "pvp": {"t2i_pal_pvp.judge": "t2i_pal"},
    },
}

# method -> the sections of settings that it reads beside zero_shot's, if they are not its own alone
_SECTIONS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(UNTUNED, ()),
    "supervised": ("t2i_pal",),
    "t2i_pal_pvp": ("t2i_pal", "pvp", "t2i_pal_pvp"),
}


@dataclass(frozen=True)
class Name:
    """A recognizer's name, taken apart."""

    method: str
    without: str | None = None
    standardised: bool = False

    @property
    def source(self) -> Source:
        """What it is tuned on."""
        if self.method in UNTUNED:
            return "nothing"
        return "labelled" if self.method == "supervised" else "synthetic"

    @property
    def plain(self) -> str:
        """The name of what is tuned: standardising comes after tuning."""
        return self.method + (f"{WITHOUT}{self.without}" if self.without else "")


def parse_name(name: str) -> Name:
    """Take a name apart; UserError when there is no such recognizer."""
    standardised = name.endswith(STANDARDISED)
    method, ablated, without = name.removesuffix(STANDARDISED).partition(WITHOUT)
    if method not in NAMES:
        near = difflib.get_close_matches(method, NAMES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(NAMES)}"
        raise UserError(f"no method is named {method!r}", hint)
    if ablated and without not in ABLATIONS.get(method, {}):
        parts = ", ".join(ABLATIONS.get(method, {})) or "none"
        raise UserError(f"{method} has no part {without!r} to do without", f"parts of {method}: {parts}")
    return Name(method, without or None, standardised)


def settings_of(name: Name, settings: MethodsSettings) -> MethodsSettings:
    """The settings of all methods with those changed that the name switches off."""
    changes: Mapping[str, Any] = {}
    if name.without:
        changes = ABLATIONS[name.method][name.without]
    elif name.method == "supervised":
        changes = {"t2i_pal.caption_branch": False, "t2i_pal.image_branch": True}
    data = settings.model_dump()
    for key, value in changes.items():
        section, field = key.split(".")
        data[section][field] = value
    return MethodsSettings.model_validate(data)


def relevant_settings(name: str, methods: MethodsSettings) -> dict[str, Any]:
    """The settings, as plain data, that what a recognizer learns depends on."""
    parsed = parse_name(name)
    sections = _SECTIONS.get(parsed.method, (parsed.method,))
    data = settings_of(parsed, methods).model_dump(mode="json")
    return {section: data[section] for section in (*sections, "zero_shot")}
