"""What is said of an image does not depend on the images beside it."""

import pytest
import torch

from t2ipal import Recognizer
from t2ipal.clip import Backbone
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


@pytest.mark.parametrize(
    ("exact", "expected"), [((4, 3, 2, 1), [4, 2]), ((4, 1), [4, 1, 1]), ((3, 2, 1), [3, 3]), ((1,), [1] * 6)]
)
def test_images_that_are_each_alone_are_computed_in_groups_that_are_exact(
    bundle, sizes, monkeypatch, exact, expected
):
    recognizer = Recognizer.load(bundle, at_once=1)
    monkeypatch.setitem(vars(recognizer.backbone), "exact_groups", exact)  # a cached property
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
@pytest.mark.parametrize(("wrong", "exact"), [((2, 3, 4), (1,)), ((3,), (4, 2, 1)), ((4,), (3, 2, 1))])
def test_other_bits_in_groups_are_noticed(tower, wrong, exact, monkeypatch):
    backbone = tiny_backbone(tower)
    fitted = Backbone.fitted

    def other(self, images):
        alone = [fitted(self, images[i : i + 1]) for i in range(len(images))]
        whole, patches = (torch.cat([getattr(each, name) for each in alone]) for name in ("whole", "patches"))
        if len(images) in wrong:
            patches = torch.nextafter(patches, torch.ones(()))
        return alone[0]._replace(whole=whole, patches=patches)

    monkeypatch.setattr(Backbone, "fitted", other)
    backbone.__dict__.pop("exact_groups", None)
    assert backbone.exact_groups == exact
    backbone.__dict__.pop("exact_groups")
