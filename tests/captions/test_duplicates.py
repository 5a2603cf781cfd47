import pyarrow as pa
import pytest

from t2ipal.captions.collect import caption_id
from t2ipal.captions.duplicates import Distinct, repeats


@pytest.mark.parametrize(
    ("similarity", "taken"),
    [
        (1.0, [True, False, True, True, True]),
        (0.9, [True, False, False, True, True]),
        (0.5, [True, False, False, False, True]),
    ],
)
def test_a_caption_is_compared_with_those_taken_before(similarity, taken):
    texts = [
        "A cat lies on a mat.",
        "a cat  lies on a mat",
        "a cat lie on a mat",
        "a cat sits on a chair",
        "hi",
    ]
    distinct = Distinct(similarity)
    assert [distinct.take((0,), text) for text in texts] == taken


def test_similarity_is_twice_the_common_letters_over_all():
    # "abcdefghij" and "abcdefghi": 2 x 9 / 19
    for least, taken in ((0.94, False), (0.95, True)):
        distinct = Distinct(least)
        distinct.take((0,), "abcdefghij")
        assert distinct.take((0,), "abcdefghi") == taken


def test_captions_of_other_classes_are_never_alike():
    distinct = Distinct(0.5)
    assert [distinct.take(labels, "a cat") for labels in ((0,), (1,), (0, 1), (0, 1))] == [
        True,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("at_once", [5, 30, 1000])
def test_repeats_over_shards_do_not_depend_on_how_many_are_compared_at_once(at_once):
    names = [f"captions-{number:05d}" for number in range(6)]
    tables = {
        name: pa.table(
            {
                "caption_id": [caption_id(number * 10 + row) for row in range(0, 10, 2)],
                "text": [f"text {row % 3}" for row in range(0, 10, 2)],
                "labels": [[number % 2], [number % 2], [2], [2, 3], [2, 3]],
            }
        )
        for number, name in enumerate(names)
    }
    found = repeats(names, tables.__getitem__, count=60, similarity=1.0, at_once=at_once)
    kept, seen = [], set()
    for name in names:
        for row in tables[name].to_pylist():
            key = (tuple(row["labels"]), row["text"])
            kept += [int(row["caption_id"][1:])] if key not in seen else []
            seen.add(key)
    assert len(kept) == 7
    there = [number * 10 + row for number in range(6) for row in range(0, 10, 2)]
    assert [row for row in there if not found[row]] == kept
