"""PVP with dual adapter (arXiv 2407.04994; details from TAI++, arXiv 2405.06926, authors' code).

Stage 1 learns pseudo visual prompts from sentences (`t2ipal.methods.visual_prompts`). Stage 2 learns them
together with text prompts, behind one adapter for images and one for texts:

    E_c, E'_c   text features behind the global and the local context, through the text adapter
    U_c, U'_c   features of the pseudo images, through the image adapter
    h, h_j      a sentence's feature, through the text adapter, and its tokens', as they are; both with noise
    loss        R(s(h, E)) + local_weight R(s(h_j, E')) + R(s(h, U)) + R(s(h_j, U')) + contrast C(E, U)

with R the ranking loss, s the global and local scores of TaI-DPT, and C half the sum of the two cross
entropies that find each class's U among all by its E, and the other way round.

In use x is the image's global feature through the image adapter, x_j are its patches, and its own global
feature as one patch more, as they are. The authors answer with the sum of the four scores; here the global
ones have a share as in the other methods, which at 0.5 is that sum.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from t2ipal.clip import Backbone
from t2ipal.method_settings import PVPSettings
from t2ipal.methods.adapter import Adapter
from t2ipal.methods.base import Batch, Captions, Images, Method, Phase, Rate, Terms, tuned_parameters
from t2ipal.methods.heatmap import local_similarity, similarities
from t2ipal.methods.prompts import ClassFeatures, Prompts
from t2ipal.methods.randomness import StepRandom
from t2ipal.methods.visual_prompts import (
    PRETRAIN,
    VisualPrompts,
    pretraining_phase,
    pretraining_terms,
    with_noise,
)
from t2ipal.seeds import derive_seed

CO_LEARN = "co-learn"  # the phase of stage 2


class PVP(Method):
    """See the module's text."""

    def __init__(
        self,
        backbone: Backbone,
        classes: Sequence[str],
        settings: PVPSettings,
        seed: int,
        exported: bool = False,
    ) -> None:
        super().__init__()
        self._settings = settings
        generator = torch.Generator().manual_seed(derive_seed(seed, "tune", "parameters"))
        self._contrast_scale = (
            backbone.logit_scale if settings.contrast_scale == "exp" else backbone.logit_scale_parameter
        )
        self.prompts = (
            Prompts(backbone, classes, settings.context, generator) if settings.text_prompts else None
        )
        self.visual = (
            VisualPrompts(backbone, len(classes), settings.pretrain, generator, exported)
            if settings.visual_prompts
            else None
        )
        width, adapts = backbone.embedding, settings.adapter
        shape = (width, settings.alpha, generator, settings.reduction, settings.dropout)
        self.text_adapter = Adapter(*shape) if adapts else None
        self.image_adapter = Adapter(*shape) if adapts else None

    def phases(self) -> Sequence[Phase]:
        """Stage 1, unless it is switched off, and stage 2; both from sentences."""
        settings = self._settings
        prompt = Rate(settings.prompt_lr, settings.prompt_warmup_lr)
        adapter = Rate(settings.adapter_lr, settings.adapter_warmup_lr)
        rates = {"prompts": prompt, "text_adapter": adapter}
        if self.visual is not None:
            rates |= {"visual": prompt, "image_adapter": adapter}
        co_learn = Phase(
            CO_LEARN,
            "captions",
            settings.schedule,
            rates,
            weights={"text_local": settings.local_weight, "contrast": settings.contrast},
            margin=settings.margin,
            templates=settings.templates,
        )
        if self.visual is None or not settings.pretraining:
            return [co_learn]
        return [pretraining_phase(settings.pretrain, settings.margin, "visual"), co_learn]

    def forward(self, batch: Batch, phase: str) -> Terms:
        """What the loss of either stage is made of."""
        if batch.captions is None:
            raise ValueError("PVP learns from captions")
        settings, random = self._settings, batch.random
        if phase == PRETRAIN and self.visual is not None:
            return pretraining_terms(self.visual(), batch.captions, random, settings.pretrain, settings.scale)
        adapter = self.text_adapter
        whole = batch.captions.whole if adapter is None else adapter.rows(batch.captions.whole, random)
        captions = with_noise(batch.captions._replace(whole=whole), random, settings.noise)
        text, visual = self._text(random), self.visual_classes(random)
        terms = Terms()
        if text is not None:
            terms.ranked.update(self._scores("text", captions, text, settings.k_train))
        if visual is not None:
            terms.ranked.update(self._scores("visual", captions, visual, settings.visual_k_train))
        if text is not None and visual is not None and settings.contrast:
            terms.whole["contrast"] = class_contrast(
                text.whole, visual.whole, self._contrast_scale, settings.contrast_reduction
            )
        return terms

    @torch.no_grad()
    def parts(self, images: Images) -> dict[str, Tensor]:
        """Scores "text_global", "text_local", "visual_global" and "visual_local"."""
        settings, text, visual = self._settings, self._text(), self.visual_classes()
        patches = images.patches
        if settings.global_token:
            patches = torch.cat([patches, images.whole[:, None]], dim=1)
        whole = images.whole if self.image_adapter is None else self.image_adapter(images.whole)
        seen = Captions(whole, patches, torch.ones(patches.shape[:2], dtype=torch.bool, device=whole.device))
        parts: dict[str, Tensor] = {}
        if text is not None:
            parts |= self._scores("text", seen, text, settings.k_test)
        if visual is not None:
            parts |= self._scores("visual", seen, visual, settings.visual_k_test)
        return parts

    def fuse(self, parts: dict[str, Tensor]) -> Tensor:
        """2 (mix (s^tg + s^vg) + (1 - mix) (s^tl + s^vl)): at a mix of 0.5 the plain sum of all parts."""
        mix = self._settings.mix
        shares = [mix if name.endswith("_global") else 1 - mix for name in parts]
        shared = [2 * share * part for share, part in zip(shares, parts.values(), strict=True)]
        return torch.stack(shared).sum(dim=0)

    @torch.no_grad()
    def heatmap(self, images: Images) -> Tensor:
        """Cosine similarity of each patch to the local features of each class: of text, else of images."""
        classes = self._text() or self.visual_classes()
        if classes is None:
            raise ValueError("PVP without text prompts and without visual prompts compares with nothing")
        return similarities(images.patches, classes.local)

    def export(self) -> dict[str, Tensor]:
        """All parameters; of the pseudo images only their features."""
        state = tuned_parameters(self)
        if self.visual is not None:
            state |= {f"visual.{name}": value for name, value in self.visual.export().items()}
        return state

    def _scores(
        self, name: str, seen: Captions, classes: ClassFeatures, sharpness: float
    ) -> dict[str, Tensor]:
        local = local_similarity(seen.tokens, classes.local, sharpness, seen.mask)
        scale = self._settings.scale
        return {f"{name}_global": scale * seen.whole @ classes.whole.T, f"{name}_local": scale * local}

    def _text(self, random: StepRandom | None = None) -> ClassFeatures | None:
        if self.prompts is None:
            return None
        return _adapted(self.prompts(), self.text_adapter, random)

    def visual_classes(self, random: StepRandom | None = None) -> ClassFeatures | None:
        """U and U' [C, D], with dropout where `random` numbers are given; None without visual prompts."""
        if self.visual is None:
            return None
        return _adapted(self.visual(), self.image_adapter, random)


def _adapted(classes: ClassFeatures, adapter: Adapter | None, random: StepRandom | None) -> ClassFeatures:
    if adapter is None:
        return classes
    if random is None:
        return ClassFeatures(adapter(classes.whole), adapter(classes.local))
    return ClassFeatures(adapter.shared(classes.whole, random), adapter.shared(classes.local, random))


def class_contrast(text: Tensor, visual: Tensor, scale: Tensor, reduction: str) -> Tensor:
    """(CE(E -> U) + CE(U -> E)) / 2 of features [C, D] with each class as its own target; `reduction` over
    the classes is "sum", as the authors', or "mean".

    The authors multiply by CLIP's logit scale parameter itself (about 4.6), not by its exponential.
    """
    logits = scale.to(text) * text @ visual.T
    targets = torch.arange(len(text), device=text.device)
    there = functional.cross_entropy(logits, targets, reduction=reduction)
    back = functional.cross_entropy(logits.T, targets, reduction=reduction)
    return (there + back) / 2
