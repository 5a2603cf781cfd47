"""The recognizer bundle: a folder that answers for images without the run that made it, and without Ray.

recognizer.json         classes, method, backbone, preprocessing, thresholds, measured quality, provenance
recognizer.safetensors  only the tuned parameters

The frozen backbone is not in it. One that open_clip knows by name is fetched where the bundle is loaded; one
from a local folder must lie there under the same path, which `backbone.model` in recognizer.json names: copy
the folder with the bundle, and write its new place there. Other weights than those that the recognizer was
tuned on are refused.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Self

from pyarrow import fs
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from t2ipal.captions_recipe import CaptionsRecipe
from t2ipal.card import FORMAT, Card, base_name
from t2ipal.clip import load_backbone
from t2ipal.errors import UserError
from t2ipal.evaluation.fitted import Fitted
from t2ipal.recipe import Recipe
from t2ipal.results import Results
from t2ipal.run_files import BUNDLE, METRICS
from t2ipal.run_files import BUNDLE_CARD as CARD
from t2ipal.run_files import BUNDLE_PARAMETERS as PARAMETERS
from t2ipal.store import Store, json_bytes
from t2ipal.vocabulary import Vocabulary

PACKAGES = ("torch", "open_clip_torch", "transformers", "accelerate")  # whose versions a bundle records


@dataclass(frozen=True)
class Bundle:
    """Both files of a bundle, read and compared with each other."""

    card: Card
    parameters: dict[str, Tensor]
    version: str  # of 12 hex digits, from every byte of both files

    @classmethod
    def read(cls, uri: str) -> Self:
        """Read a local folder or an `s3://`, `gs://` URI; UserError when it is no bundle, or damaged."""
        try:
            text, data = _read(uri, CARD), _read(uri, PARAMETERS)
            card, parameters = _card(uri, text), load(data)
        except (OSError, ValueError, SafetensorError) as error:  # ValidationError is a ValueError
            raise UserError(
                f"{uri!r} is not a recognizer bundle: {error}",
                f"give the folder `bundle` of a finished run; it holds {CARD} and {PARAMETERS}",
            ) from error
        if hashlib.sha256(data).hexdigest() != card.parameters_sha256:
            raise UserError(
                f"{PARAMETERS} in {uri!r} is not the file that its {CARD} was written with",
                "copy both files of the same bundle, or make it anew: --stages bundle",
            )
        return cls(card, parameters, hashlib.sha256(text + data).hexdigest()[:12])


def save_bundle(store: Store, recipe: Recipe, parameters: bytes, fitted: Fitted, data: str = "") -> Card:
    """Write the bundle of a run's tuned `parameters` (a safetensors file) and what is `fitted` to its scores;
    the card last, and then a manifest (t2ipal.results).

    `data` identifies what they were made from.
    """
    made_from = {"recipe": recipe.fingerprint("bundle"), "data": data, "format": str(FORMAT)}
    source = recipe.caption_source
    vocabulary = Vocabulary.load(recipe.vocabulary)
    backbone = load_backbone(recipe.backbone)
    card = Card(
        name=recipe.name,
        classes=vocabulary.mapping(),
        method=recipe.tune.method,
        settings=recipe.methods,
        backbone=recipe.backbone,
        backbone_digest=backbone.digest,
        parameters_sha256=hashlib.sha256(parameters).hexdigest(),
        preprocessing=backbone.preprocess.config,
        thresholds=dict(zip(vocabulary.names, fitted.thresholds.tolist(), strict=True)),
        calibration=fitted.calibration.to_json(),
        quality=_quality(store, recipe),
        provenance={
            **made_from,
            "seed": recipe.seed,
            "captions": base_name(source.model if isinstance(source, CaptionsRecipe) else source.path),
            "images": base_name(recipe.images.model),
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
    about["dataset"] = base_name(metrics["dataset"])
    figures: dict[str, Any] = metrics["methods"].get(recipe.tune.method, {})
    return about | figures


def _card(uri: str, text: bytes) -> Card:
    data = json.loads(text)
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
