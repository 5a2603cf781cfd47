"""The test images on which a recognizer is most right and most wrong, and where it saw what.

Shapes: N images, C classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from t2ipal import Recognizer
from t2ipal.clip.feature_tables import read_labels
from t2ipal.errors import StoreError, UserError
from t2ipal.evaluation.datasets import Dataset
from t2ipal.evaluation.metrics import Labels
from t2ipal.evaluation.shards import open_photos
from t2ipal.images.overlay import glow
from t2ipal.recipe import Recipe
from t2ipal.report.content import Photo, Photos, Said
from t2ipal.report.quality import calibration_of, labels_of, scores_of
from t2ipal.report.thumbnails import thumbnail
from t2ipal.run_files import BUNDLE, PREDICTIONS
from t2ipal.stages import features
from t2ipal.store import Store

EACH = 6  # best ones, and as many worst ones
SIDE = 256  # pixels
MOST_SAID = 6  # classes of an image


def photos_of(recipe: Recipe, store: Store) -> Photos:
    """Return them for a run with a bundle and an evaluation. Draws or reads few images, and loads the
    backbone; where either is not there, says so.
    """
    try:
        dataset = open_photos(recipe, "test")
        if dataset is None:
            return Photos()
        recognizer = Recognizer.load(store.uri_of(BUNDLE))
        return _Viewer(recipe, store, dataset, recognizer).photos()
    except StoreError:
        raise
    except UserError as error:
        return Photos(missing=str(error))


def losses(probabilities: NDArray[np.float64], labels: Labels, ignored: Labels) -> NDArray[np.float64]:
    """Cross-entropy [N, C] of each class of each image, in nats; 0 where it is `ignored` [N, C]."""
    right = np.where(labels, probabilities, 1 - probabilities)
    return np.where(ignored, 0.0, -np.log(np.maximum(right, np.finfo(np.float64).tiny)))


def ranked(loss: NDArray[np.float64], labels: Labels, each: int = EACH) -> tuple[list[int], list[int]]:
    """The images of the lowest mean of `loss` [N, C] among those that hold a class, the lowest first; and
    those of the highest mean among all, the highest first. None is in both.
    """
    mean = loss.mean(axis=1)
    order = np.argsort(mean, kind="stable")
    best = order[labels[order].any(axis=1)][:each].tolist()
    worst = [int(i) for i in order[::-1][: 2 * each] if i not in best][:each]
    return best, worst


@dataclass(frozen=True)
class _Seen:
    """What is known of all test images."""

    probabilities: NDArray[np.float64]  # [N, C]
    labels: Labels
    reported: Labels
    loss: NDArray[np.float64]


class _Viewer:
    """Shows some of the test images of a run."""

    def __init__(self, recipe: Recipe, store: Store, dataset: Dataset, recognizer: Recognizer) -> None:
        self._dataset, self._recognizer = dataset, recognizer
        self._ids, self._seen = _all(recipe, store)

    def photos(self) -> Photos:
        best, worst = ranked(self._seen.loss, self._seen.labels)
        return Photos(self._photos(best, most_right=True), self._photos(worst, most_right=False))

    def _photos(self, indices: Sequence[int], most_right: bool) -> tuple[Photo, ...]:
        images = [self._image(i) for i in indices]
        read = self._recognizer.read(self._recognizer.fit(images), [()] * len(images)) if images else []
        shown = [self._shown(i, most_right) for i in indices]
        return tuple(
            self._photo(i, image, c, reading.heat[c])
            for i, image, c, reading in zip(indices, images, shown, read, strict=True)
        )

    def _image(self, index: int) -> Image.Image:
        found = self._dataset.name(index) if index < len(self._dataset) else "nothing"
        if found != self._ids[index]:
            raise UserError(
                f"the test set has {found!r} where the run saw {self._ids[index]!r}",
                "restore the test set, or run the stages features and evaluate again",
            )
        return self._dataset.image(index)

    def _shown(self, index: int, most_right: bool) -> int:
        """The class whose heatmap is shown: the surest one that is there, or the one that is most wrong of
        those that are there or were reported, if there are any.
        """
        seen = self._seen
        held = np.where(seen.labels[index], seen.probabilities[index], -1.0)
        wrong = seen.loss[index] + self._mentioned(index) * seen.loss[index].max()
        return int((held if most_right else wrong).argmax())

    def _mentioned(self, index: int) -> NDArray[np.bool_]:
        mentioned: NDArray[np.bool_] = self._seen.labels[index] | self._seen.reported[index]
        return mentioned

    def _photo(self, index: int, image: Image.Image, c: int, heat: NDArray[np.float32]) -> Photo:
        name, shown = self._ids[index], self._recognizer.classes[c]
        said = self._said(index)
        visible = self._recognizer.backbone.preprocess.visible(*image.size)
        large = _enlarged(image.convert("RGBA"))
        glowing = Image.alpha_composite(large, glow(heat, visible, large.size))
        held = ", ".join(each.name for each in said if each.is_there) or "none of the classes"
        return Photo(
            name=name,
            picture=thumbnail(image, SIDE, f"Test image {name}: {held}"),
            heatmap=thumbnail(glowing, SIDE, f"The same image; what speaks for {shown} glows"),
            shown=shown,
            loss=float(self._seen.loss[index].mean()),
            said=said,
        )

    def _said(self, index: int) -> tuple[Said, ...]:
        """The classes that are there, or were reported, the surest first; of many those most wrong."""
        seen, names = self._seen, self._recognizer.classes
        mentioned = np.flatnonzero(self._mentioned(index)).tolist()
        told = sorted(mentioned, key=lambda c: -seen.loss[index, c])[:MOST_SAID]
        return tuple(
            Said(
                names[c],
                float(seen.probabilities[index, c]),
                bool(seen.labels[index, c]),
                bool(seen.reported[index, c]),
            )
            for c in sorted(told, key=lambda c: -seen.probabilities[index, c])
        )


def _all(recipe: Recipe, store: Store) -> tuple[list[str], _Seen]:
    labels, method = labels_of(recipe, store), recipe.tune.method
    classes = labels.shape[1]
    found = store.shards(PREDICTIONS).read(method, ["image", "labels"])
    test = store.shards(features.TEST)
    ignored = np.concatenate(
        [read_labels(test.read(name, ["ignored"]), classes, "ignored").numpy() for name in test.done()]
    )
    probabilities = calibration_of(recipe, store).probabilities(scores_of(store, method, classes))
    loss = losses(probabilities, labels, ignored)
    return found["image"].to_pylist(), _Seen(probabilities, labels, read_labels(found, classes).numpy(), loss)


def _enlarged(image: Image.Image) -> Image.Image:
    """A small image with larger pixels, so that a heatmap over it is smooth; another one made smaller."""
    scale = SIDE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    way = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
    return image.resize(size, way)
