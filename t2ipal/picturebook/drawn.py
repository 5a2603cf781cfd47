"""Scenes as arrays: drawn once by all cores, kept on disk, read by every training."""

import json
import os
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt

from t2ipal.picturebook.classes import CLASSES
from t2ipal.picturebook.scenes import SIDE, Kind, Split, scene

_CHUNK = 1000


@dataclass(frozen=True)
class Drawn:
    """N scenes: images [N, 32, 32, 3] uint8, labels [N, C] float32 multi-hot, and their captions."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.float32]
    captions: tuple[str, ...]
    full_captions: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)


def drawn(kind: Kind, split: Split, count: int, work: Path) -> Drawn:
    """The first `count` scenes of a kind and split; drawn at the first call, read from `work` after it."""
    folder = work / f"{kind}-{split}-{count}"
    if not (folder / "captions.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _draw(kind, split, count, folder)
    captions, full_captions = json.loads((folder / "captions.json").read_text())
    return Drawn(
        images=np.load(folder / "images.npy", mmap_mode="r"),
        labels=np.load(folder / "labels.npy"),
        captions=tuple(captions),
        full_captions=tuple(full_captions),
    )


def _draw(kind: Kind, split: Split, count: int, folder: Path) -> None:
    starts = range(0, count, _CHUNK)
    jobs = [(kind, split, start, min(_CHUNK, count - start)) for start in starts]
    with get_context("spawn").Pool(os.cpu_count()) as pool:
        chunks = pool.starmap(_draw_chunk, jobs, chunksize=1)
    np.save(folder / "images.npy", np.concatenate([chunk[0] for chunk in chunks]))
    np.save(folder / "labels.npy", np.concatenate([chunk[1] for chunk in chunks]))
    texts = [[text for chunk in chunks for text in chunk[2 + which]] for which in (0, 1)]
    (folder / "captions.json").write_text(json.dumps(texts))  # last: its presence says that all is there


def _draw_chunk(
    kind: Kind, split: Split, start: int, count: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32], list[str], list[str]]:
    images = np.empty((count, SIDE, SIDE, 3), np.uint8)
    labels = np.zeros((count, len(CLASSES)), np.float32)
    captions, full_captions = [], []
    for row in range(count):
        each = scene(kind, split, start + row)
        images[row] = np.asarray(each.image)
        labels[row, list(each.labels)] = 1
        captions.append(each.caption)
        full_captions.append(each.full_caption)
    return images, labels, captions, full_captions
