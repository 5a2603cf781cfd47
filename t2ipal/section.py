"""What every section of a recipe is: frozen, typed, and without unknown keys; and what several share."""

from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, Strict, model_validator

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
Above0 = Annotated[float, Field(gt=0)]
NotBelow0 = Annotated[float, Field(ge=0)]

Item = TypeVar("Item")
Several = Annotated[tuple[Item, ...], Strict(False)]
"""A YAML list, which is no tuple; what is in it stays strict."""

DType = Literal["float32", "float16", "bfloat16"]


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
    """A pool of Ray actors that grows from `min` to `max`, each with the resources given."""

    cpus: Annotated[float, Field(ge=0)] = 1.0
    gpus: Annotated[float, Field(ge=0)] = 0.0
