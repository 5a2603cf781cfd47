"""Pseudo visual prompts: one learnable image per class, seen through the frozen image encoder.

Stage 1 of PVP (arXiv 2407.04994, details from TAI++, arXiv 2405.06926, authors' code): sentences take the
place of images, and pseudo images that of class names.

    v_c, v'_c   features of class c's pseudo images, the global and the local one, both attention-pooled
    h, h_j      a sentence's feature and those of its tokens, with Gaussian noise on them
    s^g_c       scale cos(h, v_c)
    s^l_c       sum_j softmax_j(k cos(h_j, v'_c)) scale cos(h_j, v'_c)
    loss        R(s^g) + local_weight R(s^l), with R the ranking loss

A pseudo image is the encoder's input itself, drawn per channel from Normal(mean, std) of CLIP's pixels as
the authors draw it. In the space "features" a free vector per class takes its place (TaAM-CPT, from the same
group): cheap, as nothing goes back through the encoder.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from t2ipal.clip import Backbone
from t2ipal.errors import UserError
from t2ipal.method_settings import PretrainSettings
from t2ipal.methods.base import Captions, Phase, Rate, Terms
from t2ipal.methods.encoded import EncodedParameters
from t2ipal.methods.heatmap import local_similarity
from t2ipal.methods.prompts import ClassFeatures
from t2ipal.methods.randomness import StepRandom

PRETRAIN = "pretrain"  # the phase of stage 1
CHUNK = 32  # pseudo images that go through the encoder at once


class VisualPrompts(EncodedParameters[ClassFeatures]):
    """Two pseudo images per class.

    `exported`: only their features, which is all that a recognizer needs of them.
    """

    def __init__(
        self,
        backbone: Backbone,
        classes: int,
        settings: PretrainSettings,
        generator: torch.Generator,
        exported: bool = False,
    ) -> None:
        super().__init__()
        self._backbone, self._settings = backbone, settings
        self._encoded = exported or settings.space == "features"
        first = _first_features if self._encoded else _first_pixels
        self.whole = nn.Parameter(first(backbone, classes, generator))
        self.local = nn.Parameter(first(backbone, classes, generator))

    def _encode(self) -> ClassFeatures:
        return ClassFeatures(self._features(self.whole), self._features(self.local))

    @torch.no_grad()
    def export(self) -> dict[str, Tensor]:
        """The features, under the names of what they come from."""
        return {name: each.cpu().clone() for name, each in self._encode()._asdict().items()}

    def _features(self, prompts: Tensor) -> Tensor:
        if self._encoded:
            return functional.normalize(prompts, dim=-1)
        return self._backbone.encode(prompts, self._settings.positions, CHUNK)


def pretraining_phase(settings: PretrainSettings, margin: float, module: str) -> Phase:
    """Stage 1, where `module` is the name of the visual prompts within the method."""
    return Phase(
        PRETRAIN,
        "captions",
        settings.schedule,
        {module: Rate(settings.lr, settings.warmup_lr)},
        weights={"visual_local": settings.local_weight},
        margin=margin,
        templates=settings.templates,
    )


def pretraining_terms(
    visual: ClassFeatures, captions: Captions, random: StepRandom, settings: PretrainSettings, scale: float
) -> Terms:
    """Scores of sentences: "visual_global" and "visual_local"."""
    noisy = with_noise(captions, random, settings.noise)
    return Terms(
        ranked={
            "visual_global": scale * noisy.whole @ visual.whole.T,
            "visual_local": scale * local_similarity(noisy.tokens, visual.local, settings.k, noisy.mask),
        }
    )


def with_noise(captions: Captions, random: StepRandom, std: float) -> Captions:
    """Sentences' features with Gaussian noise of the given standard deviation, normalised again."""
    if not std:
        return captions
    whole = captions.whole + std * random.normal_rows(*captions.whole.shape[1:])
    tokens = captions.tokens + std * random.normal_rows(*captions.tokens.shape[1:])
    return Captions(functional.normalize(whole, dim=-1), functional.normalize(tokens, dim=-1), captions.mask)


def _first_pixels(backbone: Backbone, classes: int, generator: torch.Generator) -> Tensor:
    """[C, 3, height, width]."""
    if backbone.recipe.dtype != "float32":
        raise UserError(
            f"pseudo visual prompts learn through the image tower, whose dtype is {backbone.recipe.dtype}",
            "set backbone.dtype to float32",
        )
    height, width = backbone.input_size
    mean, std = (torch.tensor(backbone.preprocess.config[key])[:, None, None] for key in ("mean", "std"))
    return mean + std * torch.randn(classes, 3, height, width, generator=generator)


def _first_features(backbone: Backbone, classes: int, generator: torch.Generator) -> Tensor:
    """[C, D]."""
    return functional.normalize(torch.randn(classes, backbone.embedding, generator=generator), dim=-1)
