import hashlib

import numpy as np
import pytest

from t2ipal.errors import UserError
from t2ipal.picturebook.classes import BACKGROUNDS, CLASSES, COLOURS, NAMES, vocabulary
from t2ipal.picturebook.scenes import SIDE, STYLES, scene, scenes
from t2ipal.picturebook.shapes import SHAPES
from t2ipal.vocabulary import Vocabulary


def _digest(each) -> str:
    return hashlib.sha256(each.image.tobytes()).hexdigest()


def test_a_scene_is_a_function_of_its_number():
    first, again = scene("photo", "test", 7), scene("photo", "test", 7)
    assert _digest(first) == _digest(again)
    assert (first.labels, first.boxes, first.caption) == (again.labels, again.boxes, again.caption)


def test_no_scene_is_in_two_splits():
    parts = {
        split: {_digest(each) for each in scenes("photo", split, 1000)} for split in ("train", "dev", "test")
    }
    parts["web"] = {_digest(each) for each in scenes("web", "train", 1000)}
    assert {len(part) for part in parts.values()} == {1000}  # nor twice in one
    assert len(set().union(*parts.values())) == 4000


@pytest.mark.parametrize("kind", ["web", "photo"])
def test_scenes_hold_what_they_say(kind):
    counts = set()
    for each in scenes(kind, "dev", 100):
        counts.add(len(each.labels))
        assert each.image.size == (SIDE, SIDE)
        assert each.image.mode == "RGB"
        assert list(each.labels) == sorted({one.label for one in each.objects})
        for left, top, right, bottom in each.boxes:
            assert 0 <= left < right <= 1
            assert 0 <= top < bottom <= 1
    assert counts == set(range(1, len(STYLES[kind].counts) + 1))


def test_boxes_are_where_the_objects_are():
    # On a clean web scene with one object, everything that is not background lies inside its box.
    for alone in (each for each in scenes("web", "dev", 60) if len(each.objects) == 1):
        plain = np.array(BACKGROUNDS[alone.background])
        tones = np.stack(
            [plain, (plain * 0.82).astype(int), plain * 0.91]
        )  # sky, ground, the row between them
        pixels = np.asarray(alone.image, dtype=float)
        drawn = (np.abs(pixels[:, :, None] - tones).sum(axis=3) > 60).all(axis=2)
        left, top, right, bottom = (round(edge * SIDE) for edge in alone.boxes[0])
        inside = np.zeros((SIDE, SIDE), bool)
        inside[max(top - 1, 0) : bottom + 1, max(left - 1, 0) : right + 1] = True
        assert drawn[inside].mean() > 0.1
        assert not drawn[~inside].any()


def test_full_captions_name_every_object_and_captions_leave_some_out():
    known = Vocabulary.load("picturebook")
    left_out = 0
    for each in scenes("web", "train", 200):
        assert known.labels(each.full_caption) == each.labels
        assert set(known.labels(each.caption)) <= set(each.labels)
        left_out += known.labels(each.caption) != each.labels
    assert left_out > 20


def test_every_class_can_be_drawn_in_known_colours():
    assert set(SHAPES) == set(NAMES) == set(vocabulary())
    assert {colour for each in CLASSES for colour in each.colours} <= set(COLOURS)


@pytest.mark.parametrize(
    "arguments", [("painting", "test", 0), ("web", "validation", 0), ("web", "test", -1)]
)
def test_unknown_scenes_are_refused(arguments):
    with pytest.raises(UserError, match="there is no picture-world scene"):
        scene(*arguments)
