"""Scores of many images from their frozen features."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from torch import Tensor

from t2ipal.clip.feature_tables import read_images, read_labels
from t2ipal.evaluation.metrics import Labels, Scores
from t2ipal.methods.base import Images, Method
from t2ipal.shards import Shards


@dataclass(frozen=True)
class Scored:
    """Scores of N images, without their features."""

    ids: list[str]
    scores: Scores  # [N, C]
    parts: dict[str, Scores]  # of each part of the answer, [N, C]
    labels: Labels  # [N, C]
    ignored: Labels  # [N, C]: what to leave out, as VOC's difficult objects


def score(
    method: Method, whole: Tensor, patches: Tensor, batch: int = 256
) -> tuple[Scores, dict[str, Scores]]:
    """The fused scores and those of each part, [N, C], of features [N, D] and [N, P, D], on the method's
    device.
    """
    method.eval()
    device = method.device
    fused: list[Scores] = []
    parts: dict[str, list[Scores]] = {}
    for at in range(0, len(whole), batch):
        rows = slice(at, at + batch)
        answer = method.parts(Images(whole[rows].to(device).float(), patches[rows].to(device).float()))
        fused.append(method.fuse(answer).cpu().numpy())
        for name, part in answer.items():
            parts.setdefault(name, []).append(part.cpu().numpy())
    return np.concatenate(fused), {name: np.concatenate(tables) for name, tables in parts.items()}


def score_table(
    method: Method,
    classes: int,
    shards: Shards,
    names: Sequence[str],
    chosen: NDArray[np.bool_] | None = None,
) -> Scored:
    """Score shards of a table of features one by one: of all images together only the scores are held. Of
    the rows of all these shards, in order, only those where `chosen` [rows] says so.
    """
    scored = list(_score_each(method, classes, shards, names, chosen))
    return Scored(
        [each for part in scored for each in part.ids],
        np.concatenate([part.scores for part in scored]),
        {name: np.concatenate([part.parts[name] for part in scored]) for name in scored[0].parts},
        np.concatenate([part.labels for part in scored]),
        np.concatenate([part.ignored for part in scored]),
    )


def _score_each(
    method: Method, classes: int, shards: Shards, names: Sequence[str], chosen: NDArray[np.bool_] | None
) -> Iterator[Scored]:
    at = 0
    for name in names:
        rows = shards.read(name)
        if chosen is not None:
            here, at = chosen[at : at + rows.num_rows], at + rows.num_rows
            rows = rows.filter(pa.array(here))
        if rows.num_rows:  # of a shard may be nothing that was kept
            labels = read_labels(rows, classes).numpy()
            tells = "ignored" in rows.column_names  # those of a test set do
            yield Scored(
                rows["image_id"].to_pylist(),
                *score(method, *read_images(rows)),
                labels,
                read_labels(rows, classes, "ignored").numpy() if tells else np.zeros_like(labels),
            )
