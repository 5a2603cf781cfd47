import numpy as np
import pyarrow as pa
import pytest

from t2ipal.feature_faults import not_finite, unsuitable
from t2ipal.tables import CAPTION_FEATURES, FEATURES

WIDTH, CLASSES = 4, 3


def images(changes=()):
    """Five rows of 2 patches; `changes` are (row, column, place, value)."""
    rows = [
        {"image_id": f"c{i}-0", "labels": [i % 3], "global": np.ones(4), "patches": np.ones(8)}
        for i in range(5)
    ]
    for row, column, place, value in changes:
        rows[row][column][place] = value
    halves = [row | {name: row[name].astype(np.float16) for name in ("global", "patches")} for row in rows]
    return pa.Table.from_pylist(halves, schema=FEATURES)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_rows_that_hold_no_numbers_are_named(value):
    assert not_finite(images()) == []
    assert not_finite(images([(0, "global", 0, value)])) == ["c0-0"]
    assert not_finite(images([(1, "global", 3, value), (3, "patches", 0, value)])) == ["c1-0", "c3-0"]
    assert not_finite(images([(4, "patches", 7, value), (4, "patches", 0, value)])) == ["c4-0"]


def test_large_numbers_are_numbers():
    assert (
        not_finite(images([(0, "global", 0, 65504), (1, "global", 1, -65504), (2, "patches", 1, 6e-8)])) == []
    )


def test_rows_are_named_in_slices_and_chunks_too():
    table = images([(3, "patches", 2, np.nan)])
    assert not_finite(table.slice(2)) == ["c3-0"]
    assert not_finite(table.slice(0, 3)) == []
    assert not_finite(pa.concat_tables([images(), table])) == ["c3-0"]
    assert not_finite(table.slice(0, 0)) == []


def test_captions_of_any_length():
    lists = [np.ones(4 * length, np.float16) for length in (1, 3, 0, 2)]
    lists[3][5] = np.nan
    rows = [
        {"caption_id": f"c{i}", "labels": [], "global": np.ones(4, np.float16), "tokens": tokens}
        for i, tokens in enumerate(lists)
    ]
    table = pa.Table.from_pylist(rows, schema=CAPTION_FEATURES)
    assert not_finite(table) == ["c3"]
    assert unsuitable(table, WIDTH, CLASSES) == ""
    assert "'tokens'" in unsuitable(table, 3, CLASSES) or "4 numbers wide" in unsuitable(table, 3, CLASSES)


def test_features_of_another_width_or_of_more_classes_do_not_suit():
    assert unsuitable(images(), WIDTH, CLASSES) == ""
    assert unsuitable(images().slice(0, 0), WIDTH, CLASSES) == ""
    assert "its features are 4 numbers wide, and those of the backbone are 8" in unsuitable(
        images(), 8, CLASSES
    )
    assert "class number 2, and the vocabulary has 2 classes" in unsuitable(images(), WIDTH, 2)
    torn = images().set_column(3, "patches", pa.array([[1.0] * 7] * 5, pa.list_(pa.float16())))
    assert "'patches'" in unsuitable(torn, WIDTH, CLASSES)
    uneven = images().set_column(
        3, "patches", pa.array([[1.0] * 8] * 4 + [[1.0] * 4], pa.list_(pa.float16()))
    )
    assert "different numbers of patches" in unsuitable(uneven, WIDTH, CLASSES)
