"""How each class of the picture world is drawn: filled shapes with a thin outline.

A shape is drawn in its own frame: x to the right and y down, both from -1 to 1. The pen maps that frame
to the canvas (place, size, flip), so no drawing function knows where it stands.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import ImageDraw

from t2ipal.picturebook.classes import COLOURS, OUTLINE, RGB

Point = tuple[float, float]

WHITE, GREEN, BROWN = COLOURS["white"], COLOURS["green"], COLOURS["brown"]
GLASS: RGB = (170, 214, 240)


@dataclass(frozen=True)
class Pen:
    """Draws in an object's own frame on a canvas; lengths on the canvas are in canvas pixels."""

    canvas: ImageDraw.ImageDraw
    centre: Point
    half_size: float
    flip: bool
    stroke: float

    def at(self, x: float, y: float) -> Point:
        """Canvas position of a point of the object's frame."""
        sign = -1.0 if self.flip else 1.0
        return self.centre[0] + sign * x * self.half_size, self.centre[1] + y * self.half_size

    def polygon(self, points: Sequence[Point], fill: RGB) -> None:
        """A closed outline through the points."""
        self.canvas.polygon(
            [self.at(*p) for p in points], fill=fill, outline=OUTLINE, width=round(self.stroke)
        )

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: RGB, outlined: bool = True) -> None:
        """An ellipse around (x, y)."""
        cx, cy = self.at(x, y)
        rx, ry = rx * self.half_size, ry * self.half_size
        edge = OUTLINE if outlined else None
        self.canvas.ellipse(
            (cx - rx, cy - ry, cx + rx, cy + ry), fill=fill, outline=edge, width=round(self.stroke)
        )

    def box(self, x0: float, y0: float, x1: float, y1: float, fill: RGB) -> None:
        """An upright rectangle."""
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], fill)

    def line(self, points: Sequence[Point], colour: RGB = OUTLINE, width: float = 1.0) -> None:
        """A line through the points; `width` in strokes."""
        self.canvas.line(
            [self.at(*p) for p in points], fill=colour, width=round(self.stroke * width), joint="curve"
        )


def _arc(x: float, y: float, rx: float, ry: float, start: float, stop: float, steps: int = 24) -> list[Point]:
    """Points on an ellipse from angle `start` to `stop` (degrees, clockwise from the right)."""
    angles = np.radians(np.linspace(start, stop, steps))
    return [(x + rx * math.cos(a), y + ry * math.sin(a)) for a in angles]


def _rays(count: int, inner: float, outer: float, turn: float) -> list[Point]:
    """Corners of a star with `count` rays."""
    radii = (outer, inner)
    angles = [turn + math.pi * i / count for i in range(2 * count)]
    return [(radii[i % 2] * math.sin(a), -radii[i % 2] * math.cos(a)) for i, a in enumerate(angles)]


def fish(pen: Pen, colour: RGB, rng: np.random.Generator) -> None:
    """A body, a tail fin and an eye."""
    tail = rng.uniform(0.45, 0.65)
    pen.polygon([(0.35, 0.0), (0.98, -tail), (0.98, tail)], colour)
    pen.ellipse(-0.22, 0.0, 0.76, rng.uniform(0.46, 0.58), colour)
    pen.ellipse(-0.55, -0.12, 0.14, 0.14, WHITE)


def house(pen: Pen, colour: RGB, rng: np.random.Generator) -> None:
    """Walls, a gable roof, a door and a window."""
    eaves = rng.uniform(-0.2, -0.05)
    pen.box(-0.72, eaves, 0.72, 0.95, colour)
    pen.polygon([(-0.98, eaves), (0.0, -0.98), (0.98, eaves)], BROWN)
    pen.box(-0.5, 0.3, -0.05, 0.95, BROWN)
    pen.box(0.2, 0.25, 0.55, 0.6, GLASS)


def tree(pen: Pen, colour: RGB, rng: np.random.Generator) -> None:
    """A trunk under a round crown of three lobes."""
    pen.box(-0.16, 0.2, 0.16, 0.98, BROWN)
    lobe = rng.uniform(0.44, 0.52)
    for x, y in ((-0.42, -0.05), (0.42, -0.05), (0.0, -0.48)):
        pen.ellipse(x, y, lobe, lobe, colour)
    pen.ellipse(0.0, -0.15, 0.42, 0.34, colour, outlined=False)


def car(pen: Pen, colour: RGB, rng: np.random.Generator) -> None:
    """A low body, a cabin with glass, two wheels."""
    roof = rng.uniform(-0.62, -0.5)
    pen.polygon([(-0.55, 0.0), (-0.32, roof), (0.35, roof), (0.62, 0.0)], GLASS)
    pen.line([(0.02, roof), (0.02, 0.0)])
    pen.box(-0.98, -0.02, 0.98, 0.42, colour)
    for x in (-0.52, 0.52):
        pen.ellipse(x, 0.44, 0.27, 0.27, COLOURS["black"])
        pen.ellipse(x, 0.44, 0.1, 0.1, WHITE, outlined=False)


def boat(pen: Pen, colour: RGB, rng: np.random.Generator) -> None:
    """A hull, a mast and a sail."""
    top = rng.uniform(-0.98, -0.85)
    pen.line([(0.0, top), (0.0, 0.4)], width=1.6)
    pen.polygon([(0.08, top), (0.08, 0.25), (0.82, 0.25)], WHITE)
    pen.polygon([(-0.08, top + 0.25), (-0.08, 0.25), (-0.6, 0.25)], WHITE)
    pen.polygon([(-0.98, 0.4), (0.98, 0.4), (0.6, 0.92), (-0.6, 0.92)], colour)


def sun(pen: Pen, colour: RGB, rng: np.random.Generator) -> None:
    """A disc in a ring of rays."""
    pen.polygon(_rays(int(rng.integers(9, 12)), 0.62, 0.98, rng.uniform(0, 0.5)), COLOURS["orange"])
    pen.ellipse(0.0, 0.0, 0.56, 0.56, colour)


def moon(pen: Pen, colour: RGB, rng: np.random.Generator) -> None:
    """A crescent."""
    bite = rng.uniform(0.2, 0.35)
    outer = _arc(0.15, 0.0, 0.9, 0.96, 60, 300)
    inner = _arc(0.15 + bite, 0.0, 0.62, 0.84, 285, 75)
    pen.polygon(outer + inner, colour)


def star(pen: Pen, colour: RGB, rng: np.random.Generator) -> None:
    """Five points."""
    pen.polygon(_rays(5, rng.uniform(0.4, 0.48), 0.98, rng.uniform(-0.15, 0.15)), colour)


def flower(pen: Pen, colour: RGB, rng: np.random.Generator) -> None:
    """Five petals around a yellow heart, on a stem with a leaf."""
    pen.line([(0.0, 0.0), (0.0, 0.98)], GREEN, 2.2)
    pen.ellipse(0.3, 0.68, 0.28, 0.13, GREEN)
    turn = rng.uniform(0, 1.2)
    for i in range(5):
        angle = turn + 2 * math.pi * i / 5
        pen.ellipse(0.4 * math.sin(angle), -0.32 - 0.4 * math.cos(angle), 0.28, 0.28, colour)
    pen.ellipse(0.0, -0.32, 0.24, 0.24, COLOURS["yellow"])


def umbrella(pen: Pen, colour: RGB, rng: np.random.Generator) -> None:
    """A dome with a scalloped edge over a hooked handle."""
    pen.line([(0.0, -0.2), (0.0, 0.72), *_arc(0.18, 0.72, 0.18, 0.2, 180, 0, 10)], BROWN, 1.8)
    edge = rng.uniform(0.02, 0.12)
    dome = _arc(0.0, edge, 0.98, 0.98, 180, 360)
    scallops = [p for x in (0.65, 0.0, -0.65) for p in _arc(x, edge, 0.33, 0.22, 360, 180, 8)]
    pen.polygon(dome + scallops, colour)


def cup(pen: Pen, colour: RGB, rng: np.random.Generator) -> None:
    """A mug with a handle and a rim."""
    low = rng.uniform(0.42, 0.56)
    pen.ellipse(0.6, 0.1, 0.36, 0.4, colour)
    pen.ellipse(0.6, 0.1, 0.18, 0.22, WHITE)
    pen.polygon([(-0.8, -0.6), (0.56, -0.6), (low, 0.8), (-low - 0.2, 0.8)], colour)
    pen.ellipse(-0.12, -0.6, 0.68, 0.18, BROWN)


def mushroom(pen: Pen, colour: RGB, rng: np.random.Generator) -> None:
    """A thick stalk under a dotted half-round cap."""
    foot = rng.uniform(0.32, 0.42)
    pen.polygon([(-0.26, 0.0), (0.26, 0.0), (foot, 0.95), (-foot, 0.95)], WHITE)
    pen.polygon(_arc(0.0, 0.12, 0.96, 1.0, 180, 360), colour)
    for x, y in ((-0.48, -0.22), (0.05, -0.52), (0.5, -0.15)):
        pen.ellipse(x, y, 0.16, 0.15, WHITE, outlined=False)


def balloon(pen: Pen, colour: RGB, rng: np.random.Generator) -> None:
    """A round balloon with a shine, a knot and a wavy string."""
    sway = rng.uniform(0.08, 0.2)
    pen.line([(0.0, 0.4), (sway, 0.6), (-sway, 0.8), (0.0, 0.98)], width=1.3)
    pen.polygon([(-0.14, 0.52), (0.0, 0.34), (0.14, 0.52)], colour)
    pen.ellipse(0.0, -0.28, 0.6, 0.7, colour)
    pen.ellipse(-0.22, -0.5, 0.12, 0.18, WHITE, outlined=False)


def rocket(pen: Pen, colour: RGB, rng: np.random.Generator) -> None:
    """A pointed hull with fins, a porthole and a flame."""
    pen.polygon([(-0.2, 0.5), (0.2, 0.5), (0.0, rng.uniform(0.88, 0.99))], COLOURS["orange"])
    pen.polygon([(-0.3, 0.05), (-0.7, 0.65), (0.7, 0.65), (0.3, 0.05)], COLOURS["red"])
    pen.polygon([(0.0, -0.98), (0.34, -0.4), (0.34, 0.55), (-0.34, 0.55), (-0.34, -0.4)], colour)
    pen.ellipse(0.0, -0.2, 0.19, 0.19, GLASS)


def clock(pen: Pen, colour: RGB, rng: np.random.Generator) -> None:
    """An alarm clock: bells, feet, a white face and two hands."""
    for x in (-0.55, 0.55):
        pen.line([(0.6 * x, 0.6), (1.2 * x, 0.96)], width=1.8)
        pen.ellipse(x, -0.7, 0.3, 0.26, COLOURS["yellow"])
    pen.ellipse(0.0, 0.08, 0.8, 0.8, colour)
    pen.ellipse(0.0, 0.08, 0.56, 0.56, WHITE)
    hour, minute = rng.uniform(0, 2 * math.pi, 2)
    for angle, length in ((hour, 0.3), (minute, 0.46)):
        pen.line([(0.0, 0.08), (length * math.sin(angle), 0.08 - length * math.cos(angle))], width=1.5)


def cat(pen: Pen, colour: RGB, rng: np.random.Generator) -> None:
    """A cat's head: ears, eyes, a nose and whiskers."""
    tip = rng.uniform(-0.98, -0.88)
    for side in (-1.0, 1.0):
        pen.polygon([(side * 0.82, tip), (side * 0.85, -0.05), (side * 0.2, -0.5)], colour)
    pen.ellipse(0.0, 0.16, 0.88, 0.74, colour)
    for side in (-1.0, 1.0):
        pen.ellipse(side * 0.36, 0.0, 0.17, 0.19, COLOURS["yellow"])
        pen.line([(side * 0.25, 0.42), (side * 0.95, 0.36)], WHITE, 1.1)
    pen.polygon([(-0.13, 0.3), (0.13, 0.3), (0.0, 0.46)], COLOURS["pink"])


Shape = Callable[[Pen, RGB, np.random.Generator], None]

SHAPES: dict[str, Shape] = {
    "fish": fish,
    "house": house,
    "tree": tree,
    "car": car,
    "boat": boat,
    "sun": sun,
    "moon": moon,
    "star": star,
    "flower": flower,
    "umbrella": umbrella,
    "cup": cup,
    "mushroom": mushroom,
    "balloon": balloon,
    "rocket": rocket,
    "clock": clock,
    "cat": cat,
}
