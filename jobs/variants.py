"""Variants of a recipe's images by name: `384x2`, `384x2/lowest=0.2`, `384x2/top=3`."""

import re
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from t2ipal.errors import UserError
from t2ipal.images_recipe import AgreementRecipe
from t2ipal.recipe import Recipe
from t2ipal.validation import describe
from t2ipal.yaml_file import parse_yaml

_NAME = re.compile(r"(?P<captions>[1-9]\d*)x(?P<each>[1-9]\d*)(?:/(?P<rule>lowest|top)=(?P<value>[\d.]+))?")


@dataclass(frozen=True)
class Variant:
    """How many captions are painted, how many images of each, and which of them tuning leaves out."""

    captions: int
    per_caption: int
    agreement: AgreementRecipe | None = None
    filter: str = ""  # as it is written

    @property
    def painted(self) -> str:
        """The name without the filter: of what is painted."""
        return f"{self.captions}x{self.per_caption}"

    @property
    def name(self) -> str:
        """The whole name."""
        return f"{self.painted}/{self.filter}" if self.filter else self.painted

    def of(self, recipe: Recipe) -> Recipe:
        """Return the recipe with these images. Raises UserError where it has too few captions for them."""
        most = recipe.captions.count if recipe.captions else self.captions
        if self.captions > most:
            raise UserError(
                f"{self.captions} captions are to be painted, and there are at most {most} (captions.count)",
                "name a smaller variant, or give a recipe with more captions",
            )
        settings = recipe.model_dump()
        settings["images"] |= {
            "captions": self.captions,
            "per_caption": self.per_caption,
            "agreement": self.agreement and self.agreement.model_dump(),
        }
        try:
            return Recipe.model_validate(settings)
        except ValidationError as error:
            problems = "; ".join(describe(error, Recipe))
            raise UserError(f"the variant {self.name!r}: {problems}", "name another variant") from error


def parse_variant(text: str) -> Variant:
    """Return the variant of a name. Raises ValueError with what is wrong with it."""
    match = _NAME.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no variant; write 384x2, 384x2/lowest=0.2 or 384x2/top=3")
    captions, each, rule, value = match.group("captions", "each", "rule", "value")
    if rule is None:
        return Variant(int(captions), int(each))
    settings: dict[str, Any] = {rule: parse_yaml(value)}
    try:
        agreement = AgreementRecipe.model_validate(settings)
    except ValidationError as error:
        raise ValueError(f"{text!r}: {'; '.join(describe(error, AgreementRecipe))}") from error
    return Variant(int(captions), int(each), agreement, f"{rule}={value}")
