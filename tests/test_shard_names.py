"""Shards are told from other files by the names that their makers give them."""

import pytest

from t2ipal.captions.plan import CaptionPlan
from t2ipal.method_names import NAMES
from t2ipal.shard_names import (
    captions_of,
    captions_shard,
    images_shard,
    number_of,
    photos_shard,
    written_shards,
)
from t2ipal.verification.tables import READS
from tests.recipes import tiny_recipe

LARGE = (0, 7, 99_999, 100_000, 1_234_567)
CAPTIONS = [captions_shard(number) for number in LARGE]
IMAGES = [images_shard(captions, part) for captions in CAPTIONS for part in (0, 12, 999, 1000)]
PHOTOS = [photos_shard("test", number) for number in LARGE]
SHARDS = {
    "captions": CAPTIONS,
    "captions/_drafts": CAPTIONS,
    "caption_features": CAPTIONS,
    "images": IMAGES,
    "features": IMAGES,
    "agreement": IMAGES,
    "test_features": PHOTOS,
    "train_features": [photos_shard("train", number) for number in LARGE],
    "evaluation/predictions": ["zero_shot_standardised", *NAMES],
}


def test_each_table_of_a_run_has_names():
    assert SHARDS.keys() == READS.keys()


@pytest.mark.parametrize("table", SHARDS)
def test_a_shard_is_told_by_its_name_with_rows_or_a_manifest_alone(table):
    names = SHARDS[table]
    assert written_shards(table, names, []) == written_shards(table, [], names) == set(names)
    others = ["mine", f"{names[0]}-mine", f"my-{names[0]}", f"{names[0]} (1)", f"{names[0]}\n", "1" * 5, ""]
    assert written_shards(table, others, names) == set(names)
    assert written_shards(table, [], others) == set()


@pytest.mark.parametrize(
    ("table", "name"),
    [
        ("captions", "captions-0000"),
        ("captions", "captions-000000"),
        ("captions", "captions-" + 5 * "\u0660"),  # a digit, but none of ours
        ("images", "images-00000"),
        ("images", "images-00000-0000"),
        ("features", "captions-00000"),
        ("test_features", "train-00000"),
    ],
)
def test_a_name_that_no_shard_has(table, name):
    assert written_shards(table, [name], []) == set()


def test_what_has_both_its_files_is_a_shard_by_any_name():
    assert written_shards("images", ["mine", "yours"], ["mine", "theirs"]) == {"mine"}
    assert written_shards("predictions", ["t2i_pal-seed-0", "mine"], ["t2i_pal-seed-0"]) == {"t2i_pal-seed-0"}


def test_a_name_tells_what_it_was_made_from():
    assert [number_of(name) for name in (*CAPTIONS, *PHOTOS)] == [*LARGE, *LARGE]
    assert {captions_of(name) for name in IMAGES} == set(CAPTIONS)
    plan = CaptionPlan.of(tiny_recipe())
    assert [list(plan.rows(name)) for name in plan.shards()] == [[*range(4 * n, 4 * n + 4)] for n in range(3)]
