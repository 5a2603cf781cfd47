"""The recognizer bundle: a folder that answers for images without the run that made it, and without Ray.

recognizer.json         classes, method, backbone, preprocessing, thresholds, measured quality, provenance
recognizer.safetensors  only the tuned parameters

The frozen backbone is not in it. One that open_clip knows by name is fetched where the bundle is loaded; one
from a local folder must lie there under the same path, which `backbone.model` in recognizer.json names: copy
the folder with the bundle, and write its new place there.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Self

import numpy as np
from PIL import Image
from pyarrow import fs
from pydantic import BaseModel, ConfigDict
from safetensors import SafetensorError
from safetensors.torch import load

from t2ipal.captions_recipe import CaptionsRecipe
from t2ipal.clip import Backbone, load_backbone
from t2ipal.errors import UserError
from t2ipal.evaluation.calibration import Calibration
from t2ipal.evaluation.fitted import Fitted
from t2ipal.evaluation.localisation import Where, locate
from t2ipal.evaluation.outcome import Outcome, assess
from t2ipal.method_settings import MethodsSettings
from t2ipal.methods import Images, Method, build_method
from t2ipal.recipe import BackboneRecipe, Recipe
from t2ipal.results import Results
from t2ipal.run_files import BUNDLE, METRICS
from t2ipal.run_files import BUNDLE_CARD as CARD
from t2ipal.run_files import BUNDLE_PARAMETERS as PARAMETERS
from t2ipal.shards import Shards
from t2ipal.store import Store, json_bytes
from t2ipal.vocabulary import Vocabulary

FORMAT = 2  # of recognizer.json
PACKAGES = ("torch", "open_clip_torch", "transformers", "accelerate")  # whose versions a bundle records


class Card(BaseModel):
    """What recognizer.json says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    name: str
    classes: dict[str, list[str]]  # name -> synonyms; scores are in this order
    method: str
    settings: MethodsSettings  # of the method, and of others that it does not read
    backbone: BackboneRecipe
    preprocessing: dict[str, Any]  # as the backbone resizes and normalises; for readers, the backbone decides
    thresholds: dict[str, float]  # class -> score above which it is reported
    calibration: dict[
        str, list[float]
    ]  # of scores, in the order of the classes: t2ipal.evaluation.calibration
    quality: dict[str, Any]  # its figures of evaluation/metrics.json; empty without a test set
    provenance: dict[str, Any]

    def public(self) -> Self:
        """Return the card for others to read: without the path that loading needs."""
        backbone = self.backbone.model_copy(update={"model": _name(self.backbone.model)})
        return self.model_copy(update={"backbone": backbone})


@dataclass(frozen=True)
class Prediction:
    """What the recognizer says about one image."""

    scores: dict[str, float]  # every class
    labels: tuple[str, ...]  # classes above their threshold, the surest first
    where: dict[str, Where]  # of each label


class Recognizer:
    """A tuned method on its backbone, with thresholds."""

    def __init__(self, card: Card, backbone: Backbone, method: Method) -> None:
        self.card = card
        self.classes = tuple(card.classes)
        self._backbone, self._method = backbone, method.eval()
        self._thresholds = np.array([card.thresholds[name] for name in self.classes])

    @classmethod
    def load(cls, uri: str, device: str = "cpu") -> Self:
        """Load a bundle from a local folder or an `s3://`, `gs://` URI; UserError when it is not one."""
        try:
            card = _card(uri)
            parameters = load(_read(uri, PARAMETERS))
        except (OSError, ValueError, SafetensorError) as error:  # ValidationError is a ValueError
            raise UserError(
                f"{uri!r} is not a recognizer bundle: {error}",
                f"give the folder `bundle` of a finished run; it holds {CARD} and {PARAMETERS}",
            ) from error
        backbone = load_backbone(card.backbone, device)
        classes = tuple(card.classes)
        method = build_method(card.method, backbone, classes, card.settings, seed=0, exported=True)
        try:
            method.load_state_dict(parameters)
        except RuntimeError as error:  # other names or other shapes
            raise UserError(
                f"the parameters of {uri!r} do not fit the backbone {card.backbone.model!r}: {error}",
                "give the backbone that the recognizer was tuned on, and both files of the same bundle",
            ) from error
        return cls(card, backbone, method.to(device))

    def predict(self, images: Sequence[Image.Image]) -> list[Prediction]:
        """Scores, labels and places for a batch of images of any size and mode."""
        if not images:
            return []
        features = self._backbone.images(images)
        frozen = Images(features.whole, features.patches)
        scores = self._method.scores(frozen).cpu().numpy()
        heat = self._method.heatmap(frozen).cpu().numpy().reshape(*scores.shape, *features.grid)
        return [self._answer(*each) for each in zip(images, scores, heat, strict=True)]

    def assess(self, shards: Shards, names: Sequence[str]) -> Outcome:
        """Score shards of features of labelled photos, and say how good that is."""
        fitted = Fitted(self._thresholds, Calibration.from_json(self.card.calibration))
        return assess(self._method, fitted, len(self.classes), shards, names)

    def _answer(self, image: Image.Image, scores: Any, heat: Any) -> Prediction:
        visible = self._backbone.preprocess.visible(image.width, image.height)
        found = np.flatnonzero(scores > self._thresholds)
        ranked = found[np.argsort(-(scores - self._thresholds)[found], kind="stable")]
        return Prediction(
            dict(zip(self.classes, scores.tolist(), strict=True)),
            tuple(self.classes[i] for i in ranked),
            {self.classes[i]: locate(heat[i], visible) for i in ranked},
        )


def save_bundle(store: Store, recipe: Recipe, parameters: bytes, fitted: Fitted, data: str = "") -> Card:
    """Write the bundle of a run's tuned `parameters` (a safetensors file) and what is `fitted` to its scores;
    the card last, and then a manifest (t2ipal.results).

    `data` identifies what they were made from.
    """
    made_from = {"recipe": recipe.fingerprint("bundle"), "data": data}
    source = recipe.caption_source
    vocabulary = Vocabulary.load(recipe.vocabulary)
    card = Card(
        name=recipe.name,
        classes=vocabulary.mapping(),
        method=recipe.tune.method,
        settings=recipe.methods,
        backbone=recipe.backbone,
        preprocessing=load_backbone(recipe.backbone).preprocess.config,
        thresholds=dict(zip(vocabulary.names, fitted.thresholds.tolist(), strict=True)),
        calibration=fitted.calibration.to_json(),
        quality=_quality(store, recipe),
        provenance={
            **made_from,
            "seed": recipe.seed,
            "captions": _name(source.model if isinstance(source, CaptionsRecipe) else source.path),
            "images": _name(recipe.images.model),
            "versions": {name: version(name) for name in PACKAGES},
        },
    )
    files = [(PARAMETERS, parameters), (CARD, json_bytes(card.model_dump(mode="json")))]
    Results(store, BUNDLE).write(files, made_from)
    return card


def _quality(store: Store, recipe: Recipe) -> dict[str, Any]:
    if recipe.evaluate.dataset is None:
        return {}
    metrics = store.read_json(METRICS)
    about = {key: metrics[key] for key in ("split", "images")}
    about["dataset"] = _name(metrics["dataset"])
    figures: dict[str, Any] = metrics["methods"].get(recipe.tune.method, {})
    return about | figures


def _name(source: str) -> str:
    """Return a hub's name as it is, and of a path only what it leads to."""
    return os.path.basename(source.rstrip("/")) if source.startswith(("/", "~")) else source


def _card(uri: str) -> Card:
    data = json.loads(_read(uri, CARD))
    if isinstance(data, dict) and (found := data.get("format", FORMAT)) != FORMAT:
        raise UserError(
            f"the bundle {uri!r} has format {found}, and this version of t2ipal reads {FORMAT}",
            "use the version that made it, or make it anew with this one: --stages bundle",
        )
    return Card.model_validate(data)


def _read(uri: str, name: str) -> bytes:
    if "://" in uri:
        filesystem, root = fs.FileSystem.from_uri(uri)
    else:
        filesystem, root = fs.LocalFileSystem(), os.path.abspath(os.path.expanduser(uri))
    with filesystem.open_input_stream(f"{root.rstrip('/')}/{name}") as stream:
        return bytes(stream.read())
