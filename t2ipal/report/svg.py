"""Charts as SVG. Classes say what a line is, and the page's style sheet how that looks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from xml.etree import ElementTree as ET

from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

Point = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """The values that an axis reaches over, and which of them are written."""

    low: float
    high: float
    ticks: tuple[float, ...] = ()
    label: str = ""
    digits: int = 1  # behind the point, of ticks

    @classmethod
    def over(cls, low: float, high: float, label: str, ticks: int = 4) -> "Axis":
        """An axis with round ticks."""
        if high <= low:
            low, high = low - 0.5, high + 0.5
        found = [float(each) for each in MaxNLocator(ticks).tick_values(low, high) if low <= each <= high]
        step = min((b - a for a, b in pairwise(found)), default=1.0)
        digits = next((d for d in range(4) if abs(round(step, d) - step) < 1e-9), 4)
        return cls(low, high, tuple(found), label, digits)


SHARE_TICKS = (0.0, 0.5, 1.0)


def shares(label: str) -> Axis:
    """An axis from 0 to 1."""
    return Axis(0.0, 1.0, SHARE_TICKS, label)


class Plot:
    """Axes to draw within, in the units of the data; `size` is in pixels where it is shown in full."""

    def __init__(self, alt: str, size: tuple[int, int], x: Axis, y: Axis) -> None:
        self._x, self._y = x, y
        self._width, self._height = size
        # Room for what is written beside the axes.
        self._left = (34 if y.ticks else 2) + (14 if y.label else 0)
        self._bottom = size[1] - (18 if x.ticks else 2) - (14 if x.label else 0)
        self._right, self._top = size[0] - (12 if x.ticks else 2), 6
        box = f"0 0 {size[0]} {size[1]}"
        self._root = ET.Element("svg", {"class": "plot", "viewBox": box, "role": "img", "aria-label": alt})
        self._axes()

    def line(self, points: Iterable[Point], kind: str) -> None:
        """Join points."""
        path = " ".join(
            f"{'L' if i else 'M'}{self._at_x(x):.1f} {self._at_y(y):.1f}" for i, (x, y) in enumerate(points)
        )
        self._add("path", kind, d=path)

    def dots(self, points: Iterable[Point], kind: str, radius: float = 3.0) -> None:
        """Mark points."""
        for x, y in points:
            self._add("circle", kind, cx=self._at_x(x), cy=self._at_y(y), r=radius)

    def steps(self, edges: Sequence[float], heights: Sequence[float], kind: str) -> None:
        """Draw bars side by side, as one shape; of `edges` there is one more than of `heights`."""
        base = self._at_y(self._y.low)
        path = f"M{self._at_x(edges[0]):.1f} {base:.1f}"
        for (left, right), height in zip(pairwise(edges), heights, strict=True):
            y = self._at_y(height)
            path += f"L{self._at_x(left):.1f} {y:.1f}L{self._at_x(right):.1f} {y:.1f}"
        self._add("path", kind, d=f"{path}L{self._at_x(edges[-1]):.1f} {base:.1f}Z")

    def upright(self, x: float, kind: str) -> None:
        """Draw a line from top to bottom."""
        at = self._at_x(x)
        self._add("line", kind, x1=at, x2=at, y1=self._top, y2=self._bottom)

    def markup(self) -> Markup:
        """The drawing, to be put into a page."""
        return Markup(ET.tostring(self._root, encoding="unicode"))

    def _axes(self) -> None:
        for value in self._y.ticks:
            y = self._at_y(value)
            self._add("line", "grid", x1=self._left, x2=self._right, y1=y, y2=y)
            self._write(f"{value:.{self._y.digits}f}", self._left - 6, y + 4, "end")
        for value in self._x.ticks:
            x = self._at_x(value)
            self._add("line", "grid", x1=x, x2=x, y1=self._top, y2=self._bottom)
            self._write(f"{value:.{self._x.digits}f}", x, self._bottom + 15, "middle")
        self._add("line", "axis", x1=self._left, x2=self._right, y1=self._bottom, y2=self._bottom)
        if self._x.label:
            self._write(self._x.label, (self._left + self._right) / 2, self._height - 3, "middle", "label")
        if self._y.label:
            middle = (self._top + self._bottom) / 2
            turned = self._write(self._y.label, 0, 0, "middle", "label")
            turned.set("transform", f"translate(11 {middle:.1f}) rotate(-90)")

    def _at_x(self, value: float) -> float:
        share = (value - self._x.low) / (self._x.high - self._x.low)
        return self._left + share * (self._right - self._left)

    def _at_y(self, value: float) -> float:
        share = (value - self._y.low) / (self._y.high - self._y.low)
        return self._bottom - share * (self._bottom - self._top)

    def _add(self, tag: str, kind: str, **values: float | str) -> ET.Element:
        written = {k: v if isinstance(v, str) else f"{v:.1f}" for k, v in values.items()}
        return ET.SubElement(self._root, tag, {"class": kind, **written})

    def _write(self, text: str, x: float, y: float, anchor: str, kind: str = "tick") -> ET.Element:
        element = self._add("text", kind, x=x, y=y)
        element.set("text-anchor", anchor)
        element.text = text
        return element
