from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import torch

from t2ipal.clip import ImageFeatures, TextFeatures, feature_tables
from t2ipal.clip.feature_tables import (
    caption_table,
    evaluation_table,
    image_table,
    read_captions,
    read_images,
    read_labels,
)
from t2ipal.errors import UserError
from t2ipal.tables import CAPTION_FEATURES, FEATURES, TEST_FEATURES

LABELS = [[0], [], [1, 2]]


def test_image_features_come_back_in_half_precision():
    whole, patches = torch.randn(3, 4), torch.randn(3, 6, 4)
    batches = [
        ImageFeatures(whole[:2], patches[:2], (2, 3)),
        ImageFeatures(whole[2:], patches[2:], (2, 3)),
    ]
    table = image_table(["a", "b", "c"], LABELS, batches)
    assert table.schema == FEATURES
    again = read_images(table)
    assert torch.equal(again[0], whole.half())
    assert torch.equal(again[1], patches.half())


def test_caption_features_come_back_padded():
    whole, tokens = torch.randn(3, 4), torch.randn(3, 7, 4)
    mask = torch.arange(7) < torch.tensor([2, 5, 3])[:, None]
    table = caption_table(["a", "b", "c"], LABELS, [TextFeatures(whole, tokens, mask)])
    assert table.schema == CAPTION_FEATURES
    again = read_captions(table)
    assert torch.equal(again[0], whole.half())
    assert torch.equal(again[2], mask[:, :5])
    assert torch.equal(again[1][again[2]], tokens.half()[mask])


def test_labels_become_a_table_of_bools():
    table = image_table(
        ["a", "b", "c"], LABELS, [ImageFeatures(torch.zeros(3, 1), torch.zeros(3, 1, 1), (1, 1))]
    )
    assert read_labels(table, 3).tolist() == [[True, False, False], [False] * 3, [False, True, True]]


def test_the_test_set_has_ignored_classes_too():
    features = ImageFeatures(torch.randn(3, 1), torch.randn(3, 1, 1), (1, 1))
    table = evaluation_table(["a", "b", "c"], LABELS, [[2], [0, 1], []], [features])
    assert table.schema == TEST_FEATURES
    assert torch.equal(read_images(table)[0], features.whole.half())
    assert read_labels(table, 3).tolist() == [[True, False, False], [False] * 3, [False, True, True]]
    expected = [[False, False, True], [True, True, False], [False] * 3]
    assert read_labels(table, 3, "ignored").tolist() == expected


def test_a_shard_without_rows_is_a_table_without_rows():
    assert image_table([], [], []).num_rows == 0
    assert caption_table([], [], []).num_rows == 0
    assert evaluation_table([], [], [], []).num_rows == 0


def test_tables_of_many_shards_are_read_in_order():
    batches = [ImageFeatures(torch.randn(3, 4), torch.randn(3, 6, 4), (2, 3)) for _ in range(3)]
    tables = [image_table(["a", "b", "c"], LABELS, [batch]) for batch in batches]
    whole, patches = read_images(pa.concat_tables([*tables[:2], tables[2].slice(1)]))
    assert torch.equal(whole, torch.cat([b.whole for b in batches])[[0, 1, 2, 3, 4, 5, 7, 8]].half())
    assert torch.equal(patches, torch.cat([b.patches for b in batches])[[0, 1, 2, 3, 4, 5, 7, 8]].half())


def test_chunks_are_not_joined_within_arrow():
    """Past 2^31 values Arrow cannot: a table that offers its chunks alone must do."""
    lists = [
        pa.array([row], pa.list_(pa.float16())) for row in (np.ones(3, np.float16), np.zeros(2, np.float16))
    ]
    assert feature_tables._flat({"x": SimpleNamespace(chunks=lists)}, "x").tolist() == [1, 1, 1, 0, 0]


def test_a_shard_of_too_many_values_is_refused():
    row = np.broadcast_to(np.float16(0), (2**30,))  # takes no memory
    with pytest.raises(UserError, match=r"(?s)2147483648 numbers.*shard_rows"):
        feature_tables._lists([row, row])
