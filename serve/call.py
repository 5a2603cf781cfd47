"""What is asked about some images, and what is answered: between HTTP and recognizers."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Box = tuple[float, float, float, float]  # left, top, right, bottom, in shares of the width and the height

BUSY = 429  # the status of HTTP for what there is no room for

Name = Annotated[str, Field(min_length=1, max_length=100)]
Heatmaps = Literal["none", "grid", "png"]


class Options(BaseModel):
    """How images are to be answered for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recognizer: Name | None = Field(None, description="Its name; the default one if nothing is said.")
    threshold: float | None = Field(
        None, ge=0, le=1, description="Report classes above this probability, not above their own thresholds."
    )
    top_k: int | None = Field(
        None, ge=1, description="Report so many labels of an image at most, the surest."
    )
    scores: bool = Field(False, description="Give the probabilities of all classes.")
    heatmaps: Heatmaps = Field(
        "none",
        description="Where each label is seen: its similarity to every patch, or a picture to lay over "
        "the image.",
    )
    classes: list[Name] = Field(
        [], description="Names that the recognizer was never tuned on, to be looked for as well."
    )


@dataclass(frozen=True)
class Refusal:
    """Why a request, or one of its images, gets no answer."""

    status: int  # of HTTP
    detail: str
    retry_after_s: int | None = None


@dataclass(frozen=True)
class Call:
    """Images as they came, or why they did not, and what is asked about them."""

    images: list[bytes | Refusal]
    options: Options


class Place(BaseModel):
    """Where a class is seen, in shares of the image's width and height from its top left corner."""

    peak: tuple[float, float] = Field(description="x, y")
    box: Box = Field(description="left, top, right, bottom")


class Heatmap(BaseModel):
    """How much each part of the image speaks for a label."""

    box: Box = Field(description="The part of the image that was looked at; it may reach beyond the borders.")
    grid: list[list[float]] | None = Field(
        None, description="Cosine similarities of the patches, row by row."
    )
    png: str | None = Field(
        None, description="A transparent picture of the whole image's shape, PNG in base64."
    )


class Label(BaseModel):
    """A class that is in the image."""

    name: str
    score: float = Field(description="The probability that it is there, 0 to 1.")
    threshold: float = Field(description="The probability above which it is reported.")
    zero_shot: bool = Field(description="Whether the name came with the request and was never tuned.")
    where: Place
    heatmap: Heatmap | None = None


class ImageResult(BaseModel):
    """What is in an image."""

    width: int
    height: int
    labels: list[Label] = Field(description="The surest first.")
    scores: dict[str, float] | None = None


class ImageError(BaseModel):
    """Why an image has no answer; the others of the request have theirs."""

    status: int
    detail: str


class Timings(BaseModel):
    """Milliseconds in the replica."""

    decode: float = Field(description="Reading and resizing the images, in parallel.")
    model: float = Field(description="Waiting for the model, and its answer.")
    total: float


class Answer(BaseModel):
    """The results of a request, one for each image, all from the same version of one recognizer."""

    recognizer: str
    version: str = Field(description="Of the recognizer's bundle: 12 hex digits.")
    results: list[ImageResult | ImageError]
    timings_ms: Timings


class Described(BaseModel):
    """A recognizer that is served."""

    name: str
    default: bool
    version: str
    method: str
    classes: int
    quality: dict[str, object] = Field(description="Its figures on the test set it was measured on.")
    failed: str | None = Field(
        None, description="Why another bundle, asked for since, could not take its place."
    )


class Vocabulary(BaseModel):
    """The classes of a recognizer."""

    recognizer: str
    version: str
    classes: dict[str, list[str]] = Field(description="Each with its synonyms.")
    thresholds: dict[str, float] = Field(description="Probabilities above which classes are reported.")
