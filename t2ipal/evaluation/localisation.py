"""From a class's heatmap to a place in the image, in shares of its width and height, 0 to 1."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from t2ipal.clip.preprocess import Box, to_image


@dataclass(frozen=True)
class Where:
    """Where a class is seen best, and the box around the patches that speak for it as well."""

    peak: tuple[float, float]  # x, y
    box: Box


def locate(heat: NDArray[np.float32], visible: Box) -> Where:
    """The place of a class whose patches have the similarities `heat` [h, w], row by row from the top left.

    The box holds the patches that are connected to the best one and at least half-way from the mean to it.
    `visible` is the part of the image that the grid covers.
    """
    height, width = heat.shape
    row, column = (int(i) for i in np.unravel_index(heat.argmax(), heat.shape))
    rows, columns = zip(*_connected(heat >= (heat.max() + heat.mean()) / 2, (row, column)), strict=True)
    box = (min(columns) / width, min(rows) / height, (max(columns) + 1) / width, (max(rows) + 1) / height)
    x, y = (column + 0.5) / width, (row + 0.5) / height
    return Where(to_image((x, y, x, y), visible)[:2], to_image(box, visible))


def _connected(strong: NDArray[np.bool_], start: tuple[int, int]) -> set[tuple[int, int]]:
    """The cells that side-by-side steps over strong cells reach from `start`."""
    found, border = {start}, [start]
    while border:
        row, column = border.pop()
        for cell in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            inside = 0 <= cell[0] < strong.shape[0] and 0 <= cell[1] < strong.shape[1]
            if inside and strong[cell] and cell not in found:
                found.add(cell)
                border.append(cell)
    return found
