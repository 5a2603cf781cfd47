"""Scenes of the picture world: a few objects on a simple background, with their boxes and a caption.

A scene is a pure function of (kind, split, index). The two kinds differ as pre-training data and photos do:
*web* scenes hold few, large objects on clean backgrounds; *photo* scenes hold more, smaller, overlapping
ones, with noise. Splits draw from separate ranges of seeds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from PIL import Image, ImageDraw

from t2ipal.errors import UserError
from t2ipal.picturebook.classes import BACKGROUNDS, CLASSES, COLOURS, NAMES, RGB
from t2ipal.picturebook.shapes import SHAPES, Pen
from t2ipal.picturebook.wording import Mention, describe

Kind = Literal["web", "photo"]
Split = Literal["train", "dev", "test"]
Box = tuple[float, float, float, float]

SIDE = 32
SUPERSAMPLING = 8
_RANGE = 10_000_000  # scenes per split; a split's seeds never reach into the next one's
_DRAFTS = 30


@dataclass(frozen=True)
class Placed:
    """One object of a scene. `centre` and `half_size` are in pixels of the finished picture."""

    label: int
    colour: str
    centre: tuple[float, float]
    half_size: float
    flip: bool

    @property
    def box(self) -> Box:
        """Left, top, right, bottom as fractions of the picture, cut at its edges."""
        (x, y), r = self.centre, self.half_size
        edges = (x - r, y - r, x + r, y + r)
        return tuple(min(max(edge / SIDE, 0.0), 1.0) for edge in edges)  # type: ignore[return-value]


@dataclass(frozen=True)
class Scene:
    """A picture, what is in it, and what somebody wrote about it.

    `image` is RGB, 32 x 32. `labels` are the sorted class indices; `objects` are in drawing order.
    `caption` may leave objects out; `full_caption` names every one.
    """

    image: Image.Image
    labels: tuple[int, ...]
    objects: tuple[Placed, ...]
    background: str
    caption: str
    full_caption: str

    @property
    def boxes(self) -> tuple[Box, ...]:
        """One box per object, in drawing order."""
        return tuple(each.box for each in self.objects)


@dataclass(frozen=True)
class Style:
    """What makes a kind of scene easy or hard.

    `counts`: probability of 1, 2, ... objects. `half_sizes`: range in pixels for each such number.
    `overlap`: the least distance of two centres, in units of the sum of their half sizes.
    """

    counts: tuple[float, ...]
    half_sizes: tuple[tuple[float, float], ...]
    overlap: float
    two_tone: float
    noise: tuple[float, float]
    brightness: float
    omission: float


STYLES: dict[Kind, Style] = {
    "web": Style(
        counts=(0.5, 0.33, 0.17),
        half_sizes=((8.5, 11.5), (6.8, 8.2), (6.0, 7.0)),
        overlap=0.95,
        two_tone=0.25,
        noise=(0.0, 0.0),
        brightness=0.0,
        omission=0.3,
    ),
    "photo": Style(
        counts=(0.2, 0.3, 0.3, 0.2),
        half_sizes=((5.0, 9.0), (4.5, 7.5), (4.5, 6.5), (4.2, 6.0)),
        overlap=0.7,
        two_tone=0.7,
        noise=(4.0, 14.0),
        brightness=0.15,
        omission=0.0,
    ),
}


def scene(kind: Kind, split: Split, index: int) -> Scene:
    """The scene with this number; the same arguments always give the same scene."""
    if kind not in STYLES or split not in get_args(Split) or not 0 <= index < _RANGE:
        raise UserError(
            f"there is no picture-world scene {kind!r}, {split!r}, {index!r}",
            f"kinds are {sorted(STYLES)}, splits {list(get_args(Split))}, indices 0 to {_RANGE - 1}",
        )
    style = STYLES[kind]
    rng = np.random.default_rng([sorted(STYLES).index(kind), get_args(Split).index(split), index])
    count = int(rng.choice(len(style.counts), p=style.counts)) + 1
    return _compose(rng, style, [int(label) for label in rng.permutation(len(CLASSES))[:count]])


def scenes(kind: Kind, split: Split, count: int, start: int = 0) -> Iterator[Scene]:
    """`count` scenes from number `start`."""
    return (scene(kind, split, index) for index in range(start, start + count))


def _compose(rng: np.random.Generator, style: Style, labels: list[int]) -> Scene:
    objects = _place(rng, style, labels)
    background = str(rng.choice(list(BACKGROUNDS)))
    image = _develop(rng, style, _draw(rng, style, objects, background))
    mentions = [Mention(each.label, each.colour) for each in objects]
    kept = [each for each in mentions if rng.random() >= style.omission] or mentions[:1]
    return Scene(
        image=image,
        labels=tuple(sorted(labels)),
        objects=objects,
        background=background,
        caption=describe(kept, background, rng),
        full_caption=describe(mentions, background, rng),
    )


def _place(rng: np.random.Generator, style: Style, labels: list[int]) -> tuple[Placed, ...]:
    """Places that keep the style's distance where a few tries find any, else the roomiest draft."""
    low, high = style.half_sizes[len(labels) - 1]
    sizes = rng.uniform(low, high, len(labels))
    drafts = [
        rng.uniform(sizes[:, None] * 0.9, SIDE - sizes[:, None] * 0.9, (len(labels), 2))
        for _ in range(_DRAFTS)
    ]
    gaps = [_least_gap(draft, sizes) for draft in drafts]
    roomy = next((i for i, gap in enumerate(gaps) if gap >= style.overlap), int(np.argmax(gaps)))
    return tuple(
        Placed(
            label=label,
            colour=str(rng.choice(CLASSES[label].colours)),
            centre=(float(x), float(y)),
            half_size=float(size),
            flip=bool(rng.random() < 0.5),
        )
        for label, (x, y), size in zip(labels, drafts[roomy], sizes, strict=True)
    )


def _least_gap(centres: np.ndarray, sizes: np.ndarray) -> float:
    """Smallest distance of two centres along the farther axis, in units of the sum of their half sizes."""
    pairs = [(i, j) for i in range(len(sizes)) for j in range(i)]
    return min(
        (float(np.abs(centres[i] - centres[j]).max() / (sizes[i] + sizes[j])) for i, j in pairs),
        default=np.inf,
    )


def _draw(
    rng: np.random.Generator, style: Style, objects: tuple[Placed, ...], background: str
) -> Image.Image:
    scale = SUPERSAMPLING
    canvas = Image.new("RGB", (SIDE * scale, SIDE * scale), BACKGROUNDS[background])
    draw = ImageDraw.Draw(canvas)
    if rng.random() < style.two_tone:
        horizon = rng.uniform(0.45, 0.75) * SIDE * scale
        draw.rectangle((0, horizon, SIDE * scale, SIDE * scale), fill=_darker(BACKGROUNDS[background]))
    for each in objects:
        centre = (each.centre[0] * scale, each.centre[1] * scale)
        pen = Pen(draw, centre, each.half_size * scale, each.flip, stroke=0.6 * scale)
        SHAPES[NAMES[each.label]](pen, COLOURS[each.colour], rng)
    return canvas.resize((SIDE, SIDE), Image.Resampling.BOX)


def _darker(colour: RGB) -> RGB:
    return (int(colour[0] * 0.82), int(colour[1] * 0.82), int(colour[2] * 0.82))


def _develop(rng: np.random.Generator, style: Style, image: Image.Image) -> Image.Image:
    """Exposure and sensor noise."""
    pixels = np.asarray(image, dtype=np.float64)
    pixels = pixels * (1 + rng.uniform(-style.brightness, style.brightness))
    pixels = pixels + rng.normal(0, 1, pixels.shape) * rng.uniform(*style.noise)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
