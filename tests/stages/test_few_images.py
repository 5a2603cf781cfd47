"""Tuning on some of the images of each class alone."""

import torch

from t2ipal.stages import tune
from t2ipal.tuning.load import load_tuning_set
from t2ipal.tuning.trial import Trial
from tests.tiny_clip import tiny_backbone


def with_tune(recipe, **changes):
    return recipe.model_copy(update={"tune": recipe.tune.model_copy(update=changes)})


def data_of(recipe, store, count, seed=None):
    recipe = with_tune(recipe, images_per_class=count, seed=seed)
    return load_tuning_set(recipe, store, "features", tiny_backbone("resnet"), with_templates=False)


def test_each_class_has_about_as_many_and_their_captions_stay(finished):
    recipe, store, *_ = finished
    everything = data_of(recipe, store, None)
    for count in (1, 2, 4):
        data = data_of(recipe, store, count)
        shown = data.images.labels.sum(dim=0)
        assert (shown >= count).all()
        assert count <= len(data) <= 3 * count
        assert data.captions.count == everything.captions.count
        assert torch.equal(data.captions.labels[data.images.caption], data.images.labels)
        places = [
            int((everything.images.features.whole == each).all(dim=1).nonzero())
            for each in data.images.features.whole
        ]
        assert torch.equal(everything.images.labels[places], data.images.labels)
        assert torch.equal(everything.images.features.patches[places], data.images.features.patches)
    assert len(data_of(recipe, store, 1000)) == len(everything)


def test_the_images_are_the_same_for_every_seed_of_tuning(finished):
    recipe, store, *_ = finished
    one, other = (data_of(recipe, store, 2, seed).images for seed in (0, 7))
    assert torch.equal(one.features.whole, other.features.whole)


def test_it_is_another_tuning_and_no_other_run(finished):
    recipe, store, *_ = finished
    assert tune.pending(recipe, store) == []
    few = with_tune(recipe, images_per_class=2)
    assert tune.pending(few, store) == ["tune"]
    assert few.fingerprint("features") == recipe.fingerprint("features")
    assert few.fingerprint("tune") != recipe.fingerprint("tune")


def test_a_seed_of_tuning_is_its_own(finished):
    recipe, store, *_ = finished
    assert Trial.of(recipe, store).seed == recipe.seed == 0
    other = with_tune(recipe, seed=3)
    assert Trial.of(other, store).seed == 3
    assert tune.pending(other, store) == ["tune"]
    assert other.fingerprint("images") == recipe.fingerprint("images")
    # A run of the recipe's own seed is that of no seed at all.
    assert Trial.of(with_tune(recipe, seed=0), store).origin() == Trial.of(recipe, store).origin()
