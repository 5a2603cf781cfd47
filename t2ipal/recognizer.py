"""A tuned method on its frozen backbone: from images to labels, without Ray.

Shapes: B images, C classes, h x w patches.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from t2ipal.bundle import Bundle
from t2ipal.clip import Backbone, load_backbone
from t2ipal.clip.vision import ImageFeatures
from t2ipal.errors import UserError
from t2ipal.evaluation.calibration import Calibration
from t2ipal.evaluation.fitted import Fitted
from t2ipal.evaluation.outcome import Outcome, assess
from t2ipal.methods import Images, Method, build_method
from t2ipal.methods.new_names import for_names
from t2ipal.prediction import Decisions, Prediction, Reading
from t2ipal.shards import Shards

NAMES_KEPT = 64  # sets of new names whose text features are remembered


class Recognizer:
    """A tuned method on its backbone, with thresholds."""

    def __init__(self, bundle: Bundle, backbone: Backbone, method: Method, at_once: int | None) -> None:
        self.card, self.version = bundle.card, bundle.version
        self.classes = tuple(bundle.card.classes)
        self._bundle, self.backbone, self._method = bundle, backbone, method.eval()
        self._at_once = at_once
        thresholds = np.array([bundle.card.thresholds[name] for name in self.classes])
        line = Calibration.from_json(bundle.card.calibration)
        self._decisions = Decisions(self.classes, thresholds, line)
        self._for_names = lru_cache(NAMES_KEPT)(self._made_for)

    @classmethod
    def load(cls, uri: str, device: str = "cpu", at_once: int | None = None) -> Self:
        """Load a bundle from a local folder or an `s3://`, `gs://` URI; UserError when it is not one, or
        when the backbone is not the one that it was tuned on.

        With `at_once` always so many images are computed together, the last ones beside copies: what is said
        of an image does then not depend, in its last bits, on the images beside it. With 1, as many are as
        the device gives the bits that each has alone.
        """
        return cls.of(Bundle.read(uri), device, at_once)

    @classmethod
    def of(
        cls, bundle: Bundle, device: str = "cpu", at_once: int | None = None, backbone: Backbone | None = None
    ) -> Self:
        """Build it from a bundle that was read; on a backbone that is there already, if it is given."""
        card = bundle.card
        backbone = backbone or load_backbone(card.backbone, device)
        if backbone.digest != card.backbone_digest:
            raise UserError(
                f"the weights of the backbone {card.backbone.model!r} are not those that {card.name!r} was "
                "tuned on",
                "put the former weights there, or tune on these and make a new bundle",
            )
        method = build_method(card.method, backbone, list(card.classes), card.settings, 0, exported=True)
        try:
            method.load_state_dict(bundle.parameters)
        except RuntimeError as error:  # other names or other shapes
            raise UserError(
                f"the parameters of {card.name!r} do not fit its card: {error}",
                "make the bundle anew: --stages bundle",
            ) from error
        return cls(bundle, backbone, method.to(device), at_once)

    def predict(
        self,
        images: Sequence[Image.Image],
        threshold: float | None = None,
        top_k: int | None = None,
        names: Sequence[str] = (),
    ) -> list[Prediction]:
        """Labels, scores and places for images of any size and mode.

        A class is reported above its own threshold, or above the probability `threshold`, 0 to 1; with
        `top_k` at most so many of an image, the surest. `names` are classes that it was never tuned on.
        """
        if not images:
            return []
        asked = tuple(names)
        readings = self.read(self.fit(images), [asked] * len(images))
        return [
            self.describe(reading, image.size, threshold, top_k, asked)
            for reading, image in zip(readings, images, strict=True)
        ]

    def fit(self, images: Sequence[Image.Image]) -> Tensor:
        """Images in the size of the backbone's input [B, H, W, 3] uint8; on any thread."""
        return self.backbone.preprocess.fit(images)

    def read(self, fitted: Tensor, names: Sequence[tuple[str, ...]]) -> list[Reading]:
        """What the method says about fitted images [B, H, W, 3], and about new `names` of each behind the
        classes; on the model's thread.
        """
        readings: list[Reading] = []
        for size in self._sizes(len(fitted)):
            part = slice(len(readings), len(readings) + size)
            readings += self._read(fitted[part], names[part])
        return readings

    def warm_up(self) -> None:
        """Answer once, as the first answer is slow, and find out what may be computed together; on the
        model's thread.
        """
        self.predict([Image.new("RGB", (64, 64))])
        next(self._sizes(2))

    def describe(
        self,
        reading: Reading,
        size: tuple[int, int],
        threshold: float | None = None,
        top_k: int | None = None,
        names: Sequence[str] = (),
    ) -> Prediction:
        """What `predict` says of a reading, which is of an image of some width and height; on any thread."""
        visible = self.backbone.preprocess.visible(*size)
        tuned, own = reading[: len(self.classes)], self._decisions
        labels, scores = own.labels(tuned, visible, threshold), own.scores(tuned)
        if names:
            new, theirs = reading[len(self.classes) :], own.for_names(names)
            labels += theirs.labels(new, visible, threshold)
            scores |= theirs.scores(new)
        labels.sort(key=lambda label: -label.score)
        return Prediction(tuple(labels[:top_k]), scores, visible)

    def thresholds(self) -> dict[str, float]:
        """The probability of each class above which it is reported."""
        own = self._decisions
        return dict(zip(self.classes, own.calibration.probabilities(own.thresholds).tolist(), strict=True))

    def check_names(self, names: Sequence[str]) -> None:
        """Raise UserError unless the names may be asked for: other classes than its own, each once.

        Their text features are computed here, on the model's thread.
        """
        for place, name in enumerate(names):
            if name in self.classes or name in names[:place]:
                raise UserError(
                    f"{name!r} is one of its classes, or given twice", "give only names of others, once"
                )
        if names:
            self._for_names(tuple(names))

    def assess(self, shards: Shards, names: Sequence[str]) -> Outcome:
        """Score shards of features of labelled photos, and say how good that is."""
        fitted = Fitted(self._decisions.thresholds, self._decisions.calibration)
        return assess(self._method, fitted, len(self.classes), shards, names)

    def _sizes(self, images: int) -> Iterator[int]:
        """How many of the images are computed together, in turn."""
        if self._at_once == 1 and images > 1:
            sizes = self.backbone.exact_groups
        else:
            sizes = (self._at_once or images,)
        while images > 0:
            size = next((each for each in sizes if each <= images), images)
            yield size
            images -= size

    def _read(self, fitted: Tensor, names: Sequence[tuple[str, ...]]) -> list[Reading]:
        """Read images that are computed together, and as many copies of the last as are missing."""
        missing = (self._at_once or 0) - len(fitted)
        copies = [fitted[-1:].expand(missing, -1, -1, -1)] if missing > 0 else []
        features = self.backbone.fitted(torch.cat([fitted, *copies]))
        if self._at_once == 1:
            # The method's products are small, so that their kernels depend on the number of images.
            each = (
                ImageFeatures(whole[None], patches[None], features.grid)
                for whole, patches in zip(features.whole, features.patches, strict=True)
            )
            return [row for one, asked in zip(each, names, strict=True) for row in self._judged(one, [asked])]
        return self._judged(features, names)

    def _judged(self, features: ImageFeatures, names: Sequence[tuple[str, ...]]) -> list[Reading]:
        """What the method says of images, of the first ones as there are `names`."""
        images = Images(features.whole, features.patches)
        readings = _readings(self._method, images, features.grid)[: len(names)]
        for asked in {given for given in names if given}:
            new = _readings(self._for_names(asked), images, features.grid)
            for row, given in enumerate(names):
                if given == asked:
                    readings[row] = _behind(readings[row], new[row])
        return readings

    def _made_for(self, names: tuple[str, ...]) -> Method:
        card = self.card
        method = for_names(card.method, self.backbone, names, card.settings, self._bundle.parameters)
        # An image of nothing: now, and not beside the images of others, the text tower is asked.
        nothing = torch.zeros(1, 1, self.backbone.embedding, device=self.backbone.device)
        method.scores(Images(nothing[:, 0], nothing))
        return method


def _readings(method: Method, images: Images, grid: tuple[int, int]) -> list[Reading]:
    scores = method.scores(images).cpu().numpy()
    heat = method.heatmap(images).cpu().numpy().reshape(*scores.shape, *grid)
    return [Reading(*each) for each in zip(scores, heat, strict=True)]


def _behind(tuned: Reading, new: Reading) -> Reading:
    heat = np.concatenate([tuned.heat, new.heat])
    return Reading(np.concatenate([tuned.scores, new.scores]), heat)
