"""What is said of an image does not depend on the images beside it."""

import pytest
import torch

from t2ipal import Recognizer
from t2ipal.clip import Backbone
from t2ipal.recognizer import FOUR
from tests.finished_bundle import bundle_in
from tests.serve.http import noise
from tests.tiny_clip import tiny_backbone


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return bundle_in(tmp_path_factory.mktemp("run"))


@pytest.fixture
def sizes(monkeypatch):
    """How many images are computed together, each time."""
    seen = []
    fitted = Backbone.fitted
    monkeypatch.setattr(
        Backbone, "fitted", lambda self, images: seen.append(len(images)) or fitted(self, images)
    )
    return seen


def bits(reading):
    return reading.scores.tobytes() + reading.heat.tobytes()


@pytest.mark.parametrize(("exact", "expected"), [(True, [FOUR, 1, 1]), (False, [1] * 6)])
def test_images_that_are_each_alone_are_computed_in_fours_where_these_are_exact(
    bundle, sizes, monkeypatch, exact, expected
):
    recognizer = Recognizer.load(bundle, at_once=1)
    monkeypatch.setitem(vars(recognizer.backbone), "fours_are_exact", exact)  # a cached property
    assert len(recognizer.read(recognizer.fit([noise(seed) for seed in range(6)]), [()] * 6)) == 6
    assert sizes == expected


def test_images_beside_an_image_change_no_bit(bundle):
    recognizer = Recognizer.load(bundle, at_once=1)
    recognizer.warm_up()
    fitted = recognizer.fit([noise(seed) for seed in range(6)])
    together = recognizer.read(fitted, [()] * 6)
    alone = [recognizer.read(fitted[i : i + 1], [()])[0] for i in range(6)]
    assert list(map(bits, together)) == list(map(bits, alone))


def test_so_many_at_once_are_always_as_many(bundle, sizes):
    recognizer = Recognizer.load(bundle, at_once=5)
    fitted = recognizer.fit([noise(seed) for seed in range(6)])
    together = recognizer.read(fitted, [()] * 6)
    assert sizes == [5, 5]
    assert bits(together[5]) == bits(recognizer.read(fitted[5:], [()])[0])


@pytest.mark.parametrize("tower", ["resnet", "vit"])
def test_other_bits_in_fours_are_noticed(tower, monkeypatch):
    backbone = tiny_backbone(tower)
    fitted = Backbone.fitted

    def other(self, images):
        features = fitted(self, images)
        return (
            features._replace(patches=torch.nextafter(features.patches, torch.ones(())))
            if len(images) > 1
            else features
        )

    monkeypatch.setattr(Backbone, "fitted", other)
    backbone.__dict__.pop("fours_are_exact", None)
    assert not backbone.fours_are_exact
    backbone.__dict__.pop("fours_are_exact")
