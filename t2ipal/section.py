"""What every section of a recipe is: frozen, typed, and without unknown keys; and what several share."""

import re
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, model_validator

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
Above0 = Annotated[float, Field(gt=0)]
NotBelow0 = Annotated[float, Field(ge=0)]

Item = TypeVar("Item")
Several = Annotated[tuple[Item, ...], Strict(False)]
"""A YAML list, which is no tuple; what is in it stays strict."""

DType = Literal["float32", "float16", "bfloat16"]

# Of a label and its value, as on Kubernetes, and of what may stand before a label's name.
_NAME = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_DOMAIN = r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?"


def _checked(labels: dict[str, str]) -> dict[str, str]:
    for key, value in labels.items():
        if not re.fullmatch(rf"({_DOMAIN}/)?{_NAME}", key):
            raise ValueError(f"{key!r} is no name of a label, such as t2ipal/pool")
        if not re.fullmatch(rf"({_NAME})?", value):
            raise ValueError(f"{value!r} is no value of a label: at most 63 letters, digits and . _ -")
    return labels


Labels = Annotated[dict[str, str], AfterValidator(_checked)]
"""Labels of a cluster's nodes. As a choice of nodes it means those that have all of them; none: any node."""


class Section(BaseModel):
    """A part of a recipe. What YAML reads as text or as true is no number, and a number is no text."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Bounds(Section):
    """A number that follows what there is to do, or to do it with."""

    min: Positive = 1
    max: Positive = 1

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min ({self.min}) is above max ({self.max})")
        return self


class Workers(Bounds):
    """A pool of Ray actors that grows from `min` to `max`, each with the resources given, on nodes with the
    labels given.
    """

    cpus: Annotated[float, Field(ge=0)] = 1.0
    gpus: Annotated[float, Field(ge=0)] = 0.0
    labels: Labels = Field(default_factory=dict)
