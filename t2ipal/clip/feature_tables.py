"""Frozen features as Arrow tables, fp16, and back.

Shapes: N rows, P patches, L tokens (of each caption its own number), D embedding width.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from t2ipal.clip.text import TextFeatures
from t2ipal.clip.vision import ImageFeatures
from t2ipal.errors import UserError
from t2ipal.tables import CAPTION_FEATURES, FEATURES, LABELS, TEST_FEATURES

Labels = Sequence[Sequence[int]]

MOST_VALUES = 2**31 - 1  # in one Arrow array of lists, whose offsets have 32 bits


def image_table(ids: Sequence[str], labels: Labels, batches: Sequence[ImageFeatures]) -> pa.Table:
    """Rows of the `features` table; `batches` together have one row per id."""
    whole = [row for batch in batches for row in _half(batch.whole)]
    patches = [row.reshape(-1) for batch in batches for row in _half(batch.patches)]
    return pa.table([list(ids), list(labels), _lists(whole), _lists(patches)], schema=FEATURES)


def evaluation_table(
    ids: Sequence[str], labels: Labels, ignored: Labels, batches: Sequence[ImageFeatures]
) -> pa.Table:
    """Rows of the `test_features` table."""
    columns = [*image_table(ids, labels, batches).columns, pa.array(list(ignored), LABELS)]
    return pa.table(columns, schema=TEST_FEATURES)


def caption_table(ids: Sequence[str], labels: Labels, batches: Sequence[TextFeatures]) -> pa.Table:
    """Rows of the `caption_features` table, without padding."""
    whole = [row for batch in batches for row in _half(batch.whole)]
    tokens = [
        row[keep].reshape(-1)
        for batch in batches
        for row, keep in zip(_half(batch.tokens), batch.mask.cpu().numpy(), strict=True)
    ]
    return pa.table([list(ids), list(labels), _lists(whole), _lists(tokens)], schema=CAPTION_FEATURES)


def read_whole(table: pa.Table) -> Tensor:
    """Global features [N, D] of images or captions, fp16."""
    return torch.from_numpy(_flat(table, "global").reshape(table.num_rows, -1))


def read_images(table: pa.Table) -> tuple[Tensor, Tensor]:
    """Global [N, D] and patch [N, P, D] features, fp16."""
    whole = read_whole(table)
    patches = _flat(table, "patches").reshape(table.num_rows, -1, whole.shape[1])
    return whole, torch.from_numpy(patches)


def read_captions(table: pa.Table) -> tuple[Tensor, Tensor, Tensor]:
    """Global [N, D] and token [N, L, D] features, fp16, and the mask [N, L] of what is not padding."""
    whole = read_whole(table)
    width = whole.shape[1]
    rows = [
        torch.from_numpy(np.array(row.values.to_numpy(), dtype=np.float16).reshape(-1, width))
        for row in table["tokens"]
    ]
    lengths = torch.tensor([len(row) for row in rows])
    tokens = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    return whole, tokens, torch.arange(tokens.shape[1]) < lengths[:, None]


def read_labels(table: pa.Table, classes: int, column: str = "labels") -> Tensor:
    """Labels, or the classes of another such column ("ignored"), as a bool table [N, C]."""
    labels = torch.zeros(table.num_rows, classes, dtype=torch.bool)
    for row, found in enumerate(table[column].to_pylist()):
        labels[row, found] = True
    return labels


def _half(features: Tensor) -> NDArray[np.float16]:
    halves: NDArray[np.float16] = features.to("cpu", torch.float16).numpy()
    return halves


def _lists(rows: Sequence[NDArray[np.float16]]) -> pa.Array:
    ends = np.cumsum([0] + [row.size for row in rows], dtype=np.int64)
    if ends[-1] > MOST_VALUES:
        raise UserError(
            f"the features of a shard ({len(rows)} rows) are {ends[-1]} numbers; a file takes {MOST_VALUES}",
            "lower shard_rows of images and of captions (or annotated_captions) in the recipe",
        )
    values = np.concatenate(rows) if rows else np.empty(0, np.float16)
    return pa.ListArray.from_arrays(pa.array(ends.astype(np.int32)), pa.array(values))


def _flat(table: pa.Table, column: str) -> NDArray[np.float16]:
    """All values of a list column in one writable array.

    Chunk by chunk: joined into one Arrow array, the lists of a large run hold more values than it can
    count.
    """
    chunks = [chunk.flatten() for chunk in table[column].chunks]
    flat = np.empty(sum(map(len, chunks)), dtype=np.float16)
    at = 0
    for chunk in chunks:
        flat[at : at + len(chunk)] = chunk.to_numpy(zero_copy_only=False)
        at += len(chunk)
    return flat
