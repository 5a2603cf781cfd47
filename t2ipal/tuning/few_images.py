"""Some of the synthetic images alone, about as many of each class."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from t2ipal.methods.base import Images
from t2ipal.recipe import Recipe
from t2ipal.tuning.data import ImageSet
from t2ipal.tuning.limited import shots
from t2ipal.tuning.source import SYNTHETIC, image_keys, image_of


def few_images(images: ImageSet, names: Callable[[], Sequence[str]], recipe: Recipe) -> ImageSet:
    """Return `tune.images_per_class` of the images with all their views, of whose rows these are the ids.
    They are chosen by the keys of their captions as labelled photos are (`known_labels`): the same ones for
    every seed of tuning. Without such a setting all.
    """
    count = recipe.tune.images_per_class
    if count is None or images.caption is None:
        return images
    rows = [image_of(name) for name in names()]
    painted, first, view_of = np.unique(rows, return_index=True, return_inverse=True)
    keys = image_keys([str(name) for name in painted], SYNTHETIC)
    chosen = shots(images.labels.numpy()[first], keys, count, recipe.seed)
    some = torch.from_numpy(chosen[view_of])
    features = Images(*(table[some] for table in images.features))
    return ImageSet(features, images.labels[some], images.caption[some])
