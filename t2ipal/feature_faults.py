"""What may be wrong with a shard of frozen features: another backbone's or vocabulary's, or no numbers.

A shard is looked at alone, in a fraction of the time that reading it takes. Shapes: N rows, D embedding
width, C classes.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

_EXPONENT = np.uint16(0x7C00)  # of a half: all of its bits are set in infinities and NaN alone


def not_finite(table: pa.Table) -> list[str]:
    """Return the keys of the rows that hold NaN or infinite numbers among their features."""
    broken = np.zeros(table.num_rows, dtype=np.bool_)
    for column in _features(table):
        broken |= _broken_rows(table[column])
    keys: list[str] = table.column(0).filter(pa.array(broken)).to_pylist()  # a table's key comes first
    return keys


def unsuitable(table: pa.Table, width: int, classes: int) -> str:
    """Return what makes features useless to a backbone of `width` D and a vocabulary of C `classes`; nothing
    if they suit.
    """
    found = pc.unique(_lengths(table["global"])).to_pylist()
    if any(length != width for length in found):
        other = next(length for length in found if length != width)
        return f"its features are {other} numbers wide, and those of the backbone are {width}"
    for column in _features(table)[1:]:
        found = pc.unique(_lengths(table[column])).to_pylist()
        if any(length % width for length in found):
            return f"the numbers in its column {column!r} do not divide into features of the backbone"
        if column == "patches" and len(found) > 1:
            return "its images have different numbers of patches"
    labels = pc.list_flatten(table["labels"])
    if len(labels) and not 0 <= pc.min(labels).as_py() <= pc.max(labels).as_py() < classes:
        wrong = pc.max(labels).as_py()
        return f"a row has the class number {wrong}, and the vocabulary has {classes} classes, from 0 on"
    return ""


def _features(table: pa.Table) -> list[str]:
    """The columns of features, "global" first."""
    return [name for name in ("global", "patches", "tokens") if name in table.schema.names]


def _lengths(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.list_value_length(column)


def _broken_rows(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    found = [_broken_in(chunk) for chunk in column.chunks]
    return np.concatenate(found) if found else np.zeros(0, dtype=np.bool_)


def _broken_in(chunk: pa.ListArray) -> NDArray[np.bool_]:
    values = chunk.flatten().to_numpy(zero_copy_only=False).view(np.uint16)
    wrong = (values & _EXPONENT) == _EXPONENT
    rows = np.zeros(len(chunk), dtype=np.bool_)
    if wrong.any():
        ends = np.cumsum(pc.list_value_length(chunk).to_numpy())
        rows[np.unique(np.searchsorted(ends, wrong.nonzero()[0], side="right"))] = True
    return rows
