"""One step of tuning on a batch in memory, by the classes that a run uses.

Shapes: B rows, C classes, P patches, D embedding width.
"""

from dataclasses import dataclass
from typing import Any

import open_clip
import torch
from torch import Tensor, nn
from torch.nn import functional

from jobs.benchmarks.tuning_names import class_names, sentences
from jobs.benchmarks.tuning_size import STEPS, Size
from t2ipal.clip import Backbone
from t2ipal.methods import Captions, Images, build_method
from t2ipal.methods.adapter import Adapter
from t2ipal.methods.base import Phase, Terms
from t2ipal.methods.randomness import StepRandom
from t2ipal.recipe import BackboneRecipe
from t2ipal.tuning.data import CaptionSet, ImageSet, TuningSet
from t2ipal.tuning.losses import ranking_loss
from t2ipal.tuning.optimizer import make_optimizer, set_learning_rates

TOKENS = 20  # of a caption that is only drawn
SEED = 0
RESIDUAL = 0.25  # what a ResNet's blocks add to what they get


@dataclass(frozen=True)
class Problem:
    """A batch, and the model whose features it holds."""

    size: Size
    model: Any
    """As open_clip makes it."""
    tokenizer: Any
    backbone: Backbone
    """The same model as tuning sees it."""
    names: list[str]
    texts: list[str]
    data: TuningSet


def problem(size: Size, encoded: bool, device: str = "cpu") -> Problem:
    """Draw one, with the model on torch's `device`. The captions' features are those of its sentences, or
    drawn too if not `encoded`.
    """
    torch.manual_seed(SEED)
    # Else CUDA rounds what a convolution multiplies to ten bits, and nothing could be compared.
    torch.backends.cudnn.allow_tf32 = False
    model = open_clip.create_model(size.model, load_weights=False)
    _awake(model)
    model.to(device)
    tokenizer = open_clip.get_tokenizer(size.model)
    backbone = Backbone(model, tokenizer, BackboneRecipe(model=size.model))
    names = class_names(size.classes)
    texts, labels = sentences(names, size.batch)
    captions = _encoded(backbone, texts) if encoded else _drawn_captions(backbone, size.batch)
    patches = (backbone.input_size[0] // 32) ** 2
    images = Images(_units(size.batch, backbone.embedding), _units(size.batch, patches, backbone.embedding))
    rows = torch.arange(size.batch)
    data = TuningSet(ImageSet(images, labels, rows), CaptionSet(captions, labels, size.batch))
    return Problem(size, model, tokenizer, backbone, names, texts, data)


class OurStep:
    """The step as tuning does it."""

    def __init__(self, given: Problem, name: str) -> None:
        method, phase = STEPS[name]
        settings = given.size.settings
        self._data, self._rows = given.data, torch.arange(given.size.batch)
        self._device = given.backbone.device
        self.method = build_method(method, given.backbone, given.names, settings, SEED)
        self.method.to(self._device).train()
        self.phase = self.method.phases()[phase]
        self._optimizer = make_optimizer(self.method, self.phase)
        set_learning_rates(self._optimizer, 0, self.phase)
        for module in self.method.modules():
            if isinstance(module, Adapter):  # at its first state, zero, it passes no gradient on
                nn.init.normal_(module.up, std=module.up.shape[1] ** -0.5)

    def __call__(self, number: int) -> dict[str, Tensor]:
        """Take the step of that number; return the scores [B, C] that were ranked."""
        random = StepRandom(number, self._rows, len(self._rows), self._device)
        batch = self._data.batch(self.phase, self._rows, random, self._device)
        terms: Terms = self.method(batch, self.phase.name)
        loss = loss_of(terms, batch.labels, self.phase)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        return {name: scores.detach() for name, scores in terms.ranked.items()}

    def gradients(self) -> dict[str, Tensor]:
        """Return those of the last step, by the parameter's name."""
        return {name: p.grad for name, p in self.method.named_parameters() if p.grad is not None}


def loss_of(terms: Terms, labels: Tensor, phase: Phase) -> Tensor:
    """The loss [] of a step in one process."""
    losses = {
        name: ranking_loss(scores, labels, phase.margin).mean() for name, scores in terms.ranked.items()
    }
    losses |= terms.whole
    return torch.stack([phase.weights.get(name, 1.0) * loss for name, loss in losses.items()]).sum()


def _awake(model: Any) -> None:
    """Give a ResNet weights under which its features and their gradients are well-conditioned, as after
    training. As open_clip draws it, its residual branches are zero, and its other layers shrink what they
    see.
    """
    for name, value in model.visual.named_parameters():
        if name.endswith("bn3.weight"):
            nn.init.constant_(value, RESIDUAL)
        elif value.dim() == 4:
            nn.init.kaiming_normal_(value)


def _encoded(backbone: Backbone, texts: list[str]) -> Captions:
    found = backbone.sentences(texts)
    length = int(found.mask.any(dim=0).sum())
    kept = (found.whole, found.tokens[:, :length], found.mask[:, :length])
    return Captions(*(each.cpu() for each in kept))  # as tuning has them, which moves a batch


def _drawn_captions(backbone: Backbone, count: int) -> Captions:
    lengths = torch.randint(TOKENS // 2, TOKENS + 1, (count, 1))
    whole, tokens = _units(count, backbone.embedding), _units(count, TOKENS, backbone.embedding)
    return Captions(whole, tokens, torch.arange(TOKENS) < lengths)


def _units(*shape: int) -> Tensor:
    return functional.normalize(torch.randn(shape), dim=-1)
