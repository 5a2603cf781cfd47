"""Some of the synthetic images alone, about as many of each class."""

from collections.abc import Callable, Sequence

import torch

from t2ipal.methods.base import Images
from t2ipal.recipe import Recipe
from t2ipal.tuning.data import ImageSet
from t2ipal.tuning.limited import shots


def few_images(images: ImageSet, keys: Callable[[], Sequence[str]], recipe: Recipe) -> ImageSet:
    """Return `tune.images_per_class` of the images, chosen by the keys of their captions as labelled photos
    are (`known_labels`): the same ones for every seed of tuning. Without such a setting all.
    """
    count = recipe.tune.images_per_class
    if count is None or images.caption is None:
        return images
    some = torch.from_numpy(shots(images.labels.numpy(), keys(), count, recipe.seed))
    features = Images(*(table[some] for table in images.features))
    return ImageSet(features, images.labels[some], images.caption[some])
