"""One recognizer that labels the images of one shard after another."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyarrow as pa

from t2ipal.filesystems import connect
from t2ipal.images.codec import ImageError, decode
from t2ipal.labelling.plan import Labelling
from t2ipal.model_thread import ModelThread
from t2ipal.prediction import Label
from t2ipal.recognizer import Recognizer
from t2ipal.tables import LABELLED

READERS = 4  # threads that read and decode
AHEAD = 64  # images that are read and not yet labelled; read by the model in one call


@dataclass(frozen=True)
class Ready:
    """An image for the model, or why there is none."""

    name: str
    fitted: Any = None  # Tensor [1, H, W, 3] uint8
    size: tuple[int, int] = (0, 0)  # width, height
    error: str | None = None


class Labeller:
    """Calls may come from several threads: one reads its images while the model works for another."""

    def __init__(self, settings: Labelling, bundle: str, device: str) -> None:
        self._settings = settings
        self._model = ModelThread(device)
        self._recognizer = self._model(Recognizer.load, bundle, device, settings.at_once)
        self._model(self._recognizer.check_names, settings.names)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="read")
        self._files, self._root, _ = connect(settings.images)

    def __call__(self, names: Sequence[str]) -> pa.Table:
        """Label images; a row each, in their order, also for those that cannot be read."""
        rows = [row for some in _several(names, AHEAD) for row in self._rows(some)]
        return pa.Table.from_pylist(rows, schema=LABELLED)

    def _rows(self, names: Sequence[str]) -> list[dict[str, Any]]:
        import torch

        ready = list(self._readers.map(self._read, names))
        whole = [each for each in ready if each.error is None]
        readings: Iterator[Any] = iter(())
        if whole:
            fitted = torch.cat([each.fitted for each in whole])
            asked = [tuple(self._settings.names)] * len(whole)
            readings = iter(self._model(self._recognizer.read, fitted, asked))
        return [self._row(each, next(readings) if each.error is None else None) for each in ready]

    def _read(self, name: str) -> Ready:
        try:
            with self._files.open_input_file(f"{self._root.rstrip('/')}/{name}") as file:
                image = decode(bytes(file.read()), self._settings.max_pixels)
        except FileNotFoundError:
            return Ready(name, error="the file is gone")
        except (ImageError, PermissionError) as error:
            return Ready(name, error=str(error))
        return Ready(name, self._recognizer.fit([image]), image.size)

    def _row(self, image: Ready, reading: Any) -> dict[str, Any]:
        width, height = image.size
        row = {"image": image.name, "width": width, "height": height, "error": image.error}
        if reading is None:
            return row | {"labels": [], "scores": []}
        asked = self._settings
        found = self._recognizer.describe(reading, image.size, asked.threshold, asked.top_k, asked.names)
        labels = [_label(each) for each in found.labels]
        return row | {"labels": labels, "scores": list(found.scores.values())}


def _label(label: Label) -> dict[str, Any]:
    where = {"peak": list(label.where.peak), "box": list(label.where.box)}
    return {"name": label.name, "score": label.score, "zero_shot": label.zero_shot, **where}


def _several(names: Sequence[str], count: int) -> Iterator[list[str]]:
    rest = iter(names)
    while some := list(islice(rest, count)):
        yield some
