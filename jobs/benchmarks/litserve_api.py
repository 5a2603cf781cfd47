"""The recognizer as a user of LitServe would serve it. Its worker processes import this module."""

import base64
from collections.abc import Sequence
from typing import Any

import litserve
from PIL import Image

from t2ipal import Recognizer
from t2ipal.images.codec import decode
from t2ipal.prediction import Prediction


class Api(litserve.LitAPI):  # type: ignore[misc]
    """Images in base64, decoded and answered in batches."""

    def __init__(self, bundle: str, **settings: Any) -> None:
        super().__init__(**settings)
        self._bundle = bundle

    def setup(self, device: str) -> None:
        """Load the recognizer."""
        self._recognizer = Recognizer.load(self._bundle)
        self._recognizer.predict([Image.new("RGB", (64, 64))])

    def decode_request(self, request: dict[str, str]) -> bytes:
        """Return the image's bytes."""
        return base64.b64decode(request["image"])

    def batch(self, inputs: list[bytes]) -> list[bytes]:
        """Keep them apart."""
        return inputs

    def predict(self, inputs: Sequence[bytes]) -> list[dict[str, Any]]:
        """Answer for a batch."""
        images = [decode(each) for each in inputs]
        found = self._recognizer.predict(images)
        return [said(self._recognizer, *each) for each in zip(images, found, strict=True)]

    def unbatch(self, output: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """They are apart."""
        return output

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        """It is JSON."""
        return output


def said(recognizer: Recognizer, image: Image.Image, found: Prediction) -> dict[str, Any]:
    """Return what our endpoint says of an image."""
    labels = [
        {"name": each.name, "score": each.score, "peak": each.where.peak, "box": each.where.box}
        for each in found.labels
    ]
    return {"version": recognizer.version, "width": image.width, "height": image.height, "labels": labels}
