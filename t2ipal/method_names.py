"""Recognizers by name: METHOD, METHOD_standardised, METHOD-without-PART, METHOD-LIMIT, METHOD+METHOD-LIMIT.

t2i_pal                       a method with the recipe's settings
t2i_pal-without-adapter       the same without one of its parts
zero_shot_standardised        the same with its scores standardised (t2ipal.methods.standardise)
supervised                    T2I-PAL's image side, tuned on labelled photos: an upper bound
dual_coop                     DualCoOp, tuned on labelled photos
dual_coop-shots-4             the same, on 4 photos of each class
dual_coop-labels-10           the same, on 10 % of the labels
t2i_pal+dual_coop-shots-4     what needs no labels and what needs few, fused (t2ipal.methods.fusion)
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import ValidationError

from t2ipal.errors import UserError
from t2ipal.method_settings import MethodsSettings
from t2ipal.validation import describe

UNTUNED = ("zero_shot", "zero_shot_ensemble", "zero_shot_dense")
TUNED = ("tai_dpt", "pvp", "t2i_pal", "t2i_pal_pvp")  # those that a job can tune and deploy
LIMITED = ("dual_coop",)  # those that learn from few labels
NAMES = (*UNTUNED, *TUNED, "supervised", *LIMITED)
WITHOUT, STANDARDISED, FUSED = "-without-", "_standardised", "+"

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
class Limit:
    """How many labels are known: `amount` photos of each class with all their labels ("shots"), or `amount`
    per cent of the labels of all photos ("labels").
    """

    kind: Literal["shots", "labels"]
    amount: int

    def __str__(self) -> str:
        return f"-{self.kind}-{self.amount}"


@dataclass(frozen=True)
class Name:
    """A recognizer's name, taken apart. Of a fused one it is the part that learns from labels, and
    `label_free` is the other.
    """

    method: str
    without: str | None = None
    standardised: bool = False
    limit: Limit | None = None
    label_free: "Name | None" = None

    @property
    def source(self) -> Source:
        """What it is tuned on."""
        if self.method in UNTUNED:
            return "nothing"
        return "labelled" if self.method in ("supervised", *LIMITED) else "synthetic"

    @property
    def plain(self) -> str:
        """The name of what is tuned: standardising and fusing come after tuning."""
        without = f"{WITHOUT}{self.without}" if self.without else ""
        return f"{self.method}{without}{self.limit or ''}"


def parse_name(name: str) -> Name:
    """Take a name apart; UserError when there is no such recognizer."""
    first, plus, second = name.partition(FUSED)
    if not plus:
        return _parse_one(name)
    label_free, labelled = _parse_one(first), _parse_one(second)
    for part, place, good in (
        (first, "before", label_free.source == "synthetic" and not label_free.standardised),
        (second, "behind", labelled.limit is not None and not labelled.standardised),
    ):
        if not good:
            raise UserError(
                f"{part!r} has no place {place} the plus of {name!r}",
                f"before it comes a method that needs no labels ({', '.join(TUNED)}), behind it one of few, "
                "as in t2i_pal+dual_coop-shots-4",
            )
    return replace(labelled, label_free=label_free)


def _parse_one(name: str) -> Name:
    standardised = name.endswith(STANDARDISED)
    plain, limit = _split_limit(name.removesuffix(STANDARDISED))
    method, ablated, without = plain.partition(WITHOUT)
    if method not in NAMES:
        near = difflib.get_close_matches(method, NAMES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(NAMES)}"
        raise UserError(f"no method is named {method!r}", hint)
    if ablated and without not in ABLATIONS.get(method, {}):
        parts = ", ".join(ABLATIONS.get(method, {})) or "none"
        raise UserError(f"{method} has no part {without!r} to do without", f"parts of {method}: {parts}")
    if limit and method not in LIMITED:
        raise UserError(f"{method} does not learn from few labels", f"those that do: {', '.join(LIMITED)}")
    return Name(method, without or None, standardised, limit)


def _split_limit(name: str) -> tuple[str, Limit | None]:
    """The name before its limit, and the limit where it has one."""
    match = re.fullmatch(r"(.*)-(shots|labels)-([1-9]\d*)", name)
    if match is None:
        return name, None
    kind: Literal["shots", "labels"] = "shots" if match[2] == "shots" else "labels"
    limit = Limit(kind, int(match[3]))
    if limit.kind == "labels" and limit.amount > 99:
        raise UserError(
            f"{name!r} asks for {limit.amount} % of the labels",
            f"ask for 1 to 99, or for all by {match[1]!r}",
        )
    return match[1], limit


def settings_of(name: Name, settings: MethodsSettings) -> MethodsSettings:
    """The settings of all methods with those changed that the name switches off.

    UserError where nothing would be left that learns.
    """
    changes: Mapping[str, Any] = {}
    if name.without:
        changes = ABLATIONS[name.method][name.without]
    elif name.method == "supervised":
        changes = {"t2i_pal.caption_branch": False, "t2i_pal.image_branch": True, "t2i_pal.templates": 0}
    data = settings.model_dump()
    for key, value in changes.items():
        section, field = key.split(".")
        data[section][field] = value
    try:
        return MethodsSettings.model_validate(data)
    except ValidationError as error:
        problems = "; ".join(describe(error, MethodsSettings))
        raise UserError(
            f"{name.plain!r} cannot be had with the recipe's settings: {problems}",
            "change these keys of the recipe's methods, or do not ask for it",
        ) from error


def sections_of(method: str) -> tuple[str, ...]:
    """The sections of settings that a method reads."""
    return (*_SECTIONS.get(method, (method,)), "zero_shot")


def relevant_settings(name: str, methods: MethodsSettings) -> dict[str, Any]:
    """The settings, as plain data, that what a recognizer learns depends on."""
    parsed = parse_name(name)
    data = settings_of(parsed, methods).model_dump(mode="json")
    return {section: data[section] for section in sections_of(parsed.method)}
