"""What the judge finds in painted images, beside what their captions name.

The judge knows the 16 drawn classes and images of 32 pixels; it learned from labelled scenes, so that what it
says is independent of the frozen CLIP and of everything that is tuned.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from t2ipal.clip.feature_tables import read_labels
from t2ipal.images.codec import decode
from t2ipal.picturebook.classes import NAMES
from t2ipal.picturebook.judge import judge
from t2ipal.shards import Shards

SURE = 0.5  # probability from which a class counts as found


@dataclass(frozen=True)
class OfClass:
    """The images whose caption names a class."""

    images: int
    found: float | None  # share of them in which the judge finds it; None of no image
    all_found: float | None  # share of them in which it finds every class named


@dataclass(frozen=True)
class Inspected:
    """N images by id, and which classes are named and found in each: bool [N, C]."""

    ids: tuple[str, ...]
    named: Tensor
    found: Tensor

    def __len__(self) -> int:
        return len(self.ids)

    def without(self, ids: Collection[str]) -> "Inspected":
        """Return the rest of the images."""
        rest = [row for row, each in enumerate(self.ids) if each not in ids]
        return Inspected(tuple(self.ids[row] for row in rest), self.named[rest], self.found[rest])

    def all_found(self) -> Tensor:
        """Say of each image whether every class named is found, bool [N]."""
        return (self.found | ~self.named).all(dim=1)

    def foreign(self) -> Tensor:
        """Say of each image whether a class is found that is not named, bool [N]."""
        return (self.found & ~self.named).any(dim=1)

    def by_class(self) -> dict[str, OfClass]:
        """Return the figures of each class by its name."""
        every = self.all_found()
        return {
            name: OfClass(int(has.sum()), _share(self.found[has, place]), _share(every[has]))
            for place, (name, has) in enumerate(zip(NAMES, self.named.T, strict=True))
        }


def inspect(
    model: nn.Module, images: Sequence[NDArray[np.uint8]], named: Tensor, ids: Sequence[str]
) -> Inspected:
    """Ask the judge about images [32, 32, 3] uint8 whose captions name the classes `named` [N, C] bool."""
    found = judge(model, torch.from_numpy(np.stack(images))) > SURE
    return Inspected(tuple(ids), named, found)


def inspect_table(model: nn.Module, images: Shards, names: Sequence[str]) -> Inspected:
    """Ask the judge about the images that a run keeps, of the shards `names`."""
    parts = []
    for name in names:
        table = images.read(name, ["image_id", "image", "labels", "kept"]).filter(pc.field("kept"))
        if table.num_rows:
            pixels = [np.asarray(decode(each)) for each in table["image"].to_pylist()]
            labels = read_labels(table, len(NAMES))
            parts.append(inspect(model, pixels, labels, table["image_id"].to_pylist()))
    if not parts:
        raise ValueError("the run keeps no image")
    return Inspected(
        tuple(each for part in parts for each in part.ids),
        torch.cat([part.named for part in parts]),
        torch.cat([part.found for part in parts]),
    )


def _share(yes: Tensor) -> float | None:
    return float(yes.float().mean()) if len(yes) else None
