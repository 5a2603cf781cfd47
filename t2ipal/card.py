"""What recognizer.json says of a recognizer."""

import os
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, model_validator

from t2ipal.method_settings import MethodsSettings
from t2ipal.recipe import BackboneRecipe

FORMAT = 3  # of recognizer.json


class Card(BaseModel):
    """See the module's text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    name: str
    classes: dict[str, list[str]]  # name -> synonyms; scores are in this order
    method: str
    settings: MethodsSettings  # of the method, and of others that it does not read
    backbone: BackboneRecipe
    backbone_digest: str  # of the weights that it was tuned on: t2ipal.clip.identity
    parameters_sha256: str  # of recognizer.safetensors
    preprocessing: dict[str, Any]  # as the backbone resizes and normalises; for readers, the backbone decides
    thresholds: dict[str, float]  # class -> score above which it is reported, before calibration
    # Of scores, in the order of the classes: t2ipal.evaluation.calibration
    calibration: dict[str, list[float]]
    quality: dict[str, Any]  # its figures of evaluation/metrics.json; empty without a test set
    provenance: dict[str, Any]

    @model_validator(mode="after")
    def _is_about_its_classes(self) -> Self:
        if list(self.thresholds) != list(self.classes):
            raise ValueError("thresholds are not of the classes")
        for key in ("slope", "intercept"):
            if len(self.calibration.get(key, ())) != len(self.classes):
                raise ValueError(f"calibration.{key} is not of the classes")
        return self

    def public(self) -> Self:
        """Return the card for others to read: without the path that loading needs."""
        backbone = self.backbone.model_copy(update={"model": base_name(self.backbone.model)})
        return self.model_copy(update={"backbone": backbone})


def base_name(source: str) -> str:
    """Return a hub's name as it is, and of a path only what it leads to."""
    return os.path.basename(source.rstrip("/")) if source.startswith(("/", "~")) else source
