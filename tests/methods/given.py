"""Random features to put into methods, and what is inside a method as NumPy arrays."""

import numpy as np
import torch
from accelerate import Accelerator
from torch.nn import functional

from t2ipal.methods import Batch, Captions, Images
from t2ipal.methods.randomness import StepRandom
from t2ipal.tuning.loop import tune
from tests.tiny_clip import EMBED_DIM, tiny_backbone
from tests.tuning.tiny_set import NAMES

LABELS = torch.tensor([[1, 0, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0], [1, 0, 1]], dtype=torch.bool)
ONE_STEP = {"batch": 1000, "warmup_epochs": 0}  # of a schedule: all rows at once


def units(seed, *shape):
    numbers = torch.randn(*shape, EMBED_DIM, generator=torch.Generator().manual_seed(seed))
    return functional.normalize(numbers, dim=-1)


def images(count=5):
    return Images(units(3, count), units(4, count, 4))


def captions(count=5):
    lengths = torch.tensor([6, 3, 1, 2, 5, 4, 6, 2])[:count, None]
    return Captions(units(5, count), units(6, count, 6), torch.arange(6) < lengths)


def batch(images=None, captions=None, seed=0, places=None, total=None):
    """A batch of the rows given, which are the rows `places` of a step of `total`."""
    rows = len((images or captions).whole)
    places = torch.arange(rows) if places is None else torch.tensor(places)
    random = StepRandom(seed, places, total or rows, torch.device("cpu"))
    return Batch(LABELS[:rows], images, captions, random)


def array(tensor):
    values = tensor.detach().cpu()
    return values.numpy() if values.dtype == torch.bool else values.double().numpy()


def arrays(features):
    return type(features)(*(array(each) for each in features))


def text_features(method, names=NAMES):
    """Features of the class names behind a method's two contexts."""
    backbone, prompts = tiny_backbone("resnet"), method.prompts
    tokens = backbone.class_tokens(names, len(prompts.global_context))
    with torch.no_grad():
        return tuple(
            array(backbone.prompts(context.expand(len(names), -1, -1), tokens, len(names)))
            for context in (prompts.global_context, prompts.local_context)
        )


def weights(adapter):
    """Random numbers in an adapter's second layer, which starts at zero; returns both layers."""
    torch.nn.init.normal_(adapter.up, std=0.3, generator=torch.Generator().manual_seed(9))
    return array(adapter.down), array(adapter.up)


def assert_scores(found, expected):
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(array(found[name]), values, atol=1e-5, rtol=1e-5, err_msg=name)


def first_losses(method, data):
    """The loss of the first epoch of each phase."""
    log = tune(method, data, 0, Accelerator(cpu=True), lambda checkpoint: None)
    return {entry["phase"]: entry["loss"] for entry in log if entry["epoch"] == 1}
