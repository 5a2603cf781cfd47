"""What every section of a recipe is: frozen, typed, and without unknown keys."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
Above0 = Annotated[float, Field(gt=0)]
NotBelow0 = Annotated[float, Field(ge=0)]


class Section(BaseModel):
    """A part of a recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid")
