"""What is on the page of a run. Points are 0 to 100, shares and probabilities 0 to 1."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from t2ipal.evaluation.curves import Bin, Curve, Histogram


@dataclass(frozen=True)
class Picture:
    """An image within the page."""

    uri: str  # data:
    width: int  # pixels
    height: int
    alt: str


@dataclass(frozen=True)
class Figures:
    """A method's figures, as they are in metrics.json."""

    name: str
    mean_ap: float  # points, as all but the last
    deviation: float | None  # over seeds
    cf1: float
    of1: float
    top3_of1: float
    calibration_error: float | None  # share
    per_class: Mapping[str, float | None]  # average precision


@dataclass(frozen=True)
class ClassQuality:
    """How well a class is recognised."""

    name: str
    images: int  # of the test set that hold it
    precision: float  # points, of the images that are reported
    recall: float
    curve: Curve | None  # None where no image holds it
    baseline: Curve | None
    scores: Histogram
    threshold: float


@dataclass(frozen=True)
class Quality:
    """How well the tuned method recognises the test set, beside the baselines."""

    dataset: str
    split: str
    images: int
    tuned: Figures
    baseline: Figures | None  # zero-shot, where it was measured
    methods: tuple[Figures, ...]  # these two and all others
    curve: Curve | None  # of all image-class pairs together
    baseline_curve: Curve | None
    bins: tuple[Bin, ...]
    probabilities: Histogram  # of the same pairs
    classes: tuple[ClassQuality, ...]  # in the order of the vocabulary

    @property
    def gain(self) -> float | None:
        """Points of mAP above the baseline."""
        return None if self.baseline is None else self.tuned.mean_ap - self.baseline.mean_ap


@dataclass(frozen=True)
class Caption:
    """A caption, and the classes that it names."""

    text: str
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Captions:
    """What became of the captions. Counts are None where captions come from a file."""

    kept: int
    asked: int | None
    duplicates: int | None
    fewest: int | None  # captions of a class
    most: int | None
    samples: tuple[Caption, ...]

    @property
    def rejected(self) -> int | None:
        """Captions asked for that are not there."""
        return None if self.asked is None else self.asked - self.kept


@dataclass(frozen=True)
class Painted:
    """A synthetic image; `reason` says why it teaches nothing, and is empty where it does. What could not be
    painted has no picture.
    """

    picture: Picture | None
    caption: str
    reason: str


@dataclass(frozen=True)
class PaintedClass:
    """Some of the synthetic images of a class: first those that are kept."""

    name: str
    images: tuple[Painted, ...]


@dataclass(frozen=True)
class Synthetic:
    """The synthetic images of a run."""

    images: int
    not_painted: int  # refused or failed
    left_out: int  # painted, and not tuned on: unlike their captions
    classes: tuple[PaintedClass, ...]


@dataclass(frozen=True)
class Said:
    """A class that is in a photo, or was said to be."""

    name: str
    probability: float
    is_there: bool
    is_reported: bool


@dataclass(frozen=True)
class Photo:
    """A test image and what the recognizer says of it."""

    name: str
    picture: Picture
    heatmap: Picture  # the same, and over it where the class `shown` is seen
    shown: str
    loss: float  # mean cross-entropy of its classes, in nats
    said: tuple[Said, ...]


@dataclass(frozen=True)
class Photos:
    """The test images on which the recognizer is most right and most wrong; else why there are none."""

    best: tuple[Photo, ...] = ()
    worst: tuple[Photo, ...] = ()
    missing: str = ""


@dataclass(frozen=True)
class Tuning:
    """How tuning went."""

    method: str
    rows: int  # images that it learned from
    losses: Mapping[str, tuple[float, ...]]  # by phase, of each epoch
    seconds: Mapping[str, float]  # where the time of its last attempt went


@dataclass(frozen=True)
class About:
    """What a run is made from."""

    settings: Mapping[str, Any]  # the recipe
    choices: Mapping[str, str]  # those of its settings that matter most
    versions: Mapping[str, str]
    checksums: Mapping[str, str]  # of models


@dataclass(frozen=True)
class Content:
    """All of it. What the run does not have yet is None, and `missing` says so."""

    name: str
    uri: str
    date: str
    classes: tuple[str, ...]
    missing: tuple[str, ...]
    measured: bool  # whether the recipe has photos to test on
    quality: Quality | None
    photos: Photos
    captions: Captions | None
    synthetic: Synthetic | None
    tuning: Tuning | None
    seconds: Mapping[str, float]  # spent in each stage, in all attempts that came to its end
    about: About
