"""A GPU that knows shapes and devices only, for machines that have none: it raises where devices mix."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from t2ipal.clip import Backbone
from tests.tiny_clip import tiny_backbone


@contextmanager
def backbone_on_gpu(tower: str, names: Sequence[str], length: int) -> Iterator[Backbone]:
    """Within, all tensors are fake; yields a backbone on "cuda" whose class tokens are those of `names`.

    They are computed before: a fake tensor has no values to look at.
    """
    backbone = copy.deepcopy(tiny_backbone(tower))
    tokens = backbone.class_tokens(names, length)
    with FakeTensorMode(allow_non_fake_inputs=True):
        to_gpu(backbone._model)
        backbone.class_tokens = lambda *_: tokens.to("cuda")  # type: ignore[method-assign]
        yield backbone


def to_gpu(module: nn.Module) -> None:
    """Do what `module.to("cuda")` does; that cannot replace real tensors by fake ones."""
    for part in module.modules():
        for name, value in part._parameters.items():
            if value is not None:
                part._parameters[name] = nn.Parameter(value.detach().to("cuda"), value.requires_grad)
        for name, value in part._buffers.items():
            part._buffers[name] = None if value is None else value.to("cuda")
