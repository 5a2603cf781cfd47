"""Random features with labels that they can be told apart by."""

import torch
from torch.nn import functional

from t2ipal.methods import Captions, T2IPal
from t2ipal.recipe import TuneRecipe
from t2ipal.tuning.data import TuningSet
from tests.tiny_clip import EMBED_DIM, tiny_backbone

NAMES = ["fish", "teddy bear", "house"]


def tiny_recipe(**settings):
    defaults = {
        "context": 4,
        "epochs": 4,
        "batch": 5,
        "optimizer": "adamw",
        "prompt_lr": 0.02,
        "head_lr": 0.01,
    }
    return TuneRecipe(**(defaults | settings))


def tiny_method(recipe):
    return T2IPal(tiny_backbone("resnet"), NAMES, recipe, 0)


def tiny_set(count=23):
    generator = torch.Generator().manual_seed(0)
    labels = torch.rand(count, 3, generator=generator) < 0.5
    directions = torch.randn(3, EMBED_DIM, generator=generator)

    def near(*shape):
        noise = torch.randn(*shape, EMBED_DIM, generator=generator)
        signal = (labels.float() @ directions).reshape(count, *[1] * (len(shape) - 1), EMBED_DIM)
        return functional.normalize(signal + noise, dim=-1).half()

    mask = torch.arange(6) < torch.randint(1, 7, (count, 1), generator=generator)
    captions = Captions(near(count), near(count, 6), mask)
    return TuningSet(near(count), near(count, 4), labels, torch.arange(count).flip(0), captions)
