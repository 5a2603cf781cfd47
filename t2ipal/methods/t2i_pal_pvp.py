"""T2I-PAL with pseudo visual prompts: both papers in one recognizer.

The two systems learn different things. T2I-PAL learns from images painted from text how classes look to CLIP;
PVP's first stage finds in CLIP itself, from sentences alone, the images that stand for a class. Here the
pseudo visual prompts are learned first and then rest; T2I-PAL is tuned as it is alone; and the image's
features behind its adapter are compared with both. Kept apart in learning the two err differently, and the
sum of their scores errs less than either.

    s^t           T2I-PAL's answer (`t2ipal.methods.t2i_pal`)
    s^vg_c        scale cos(x, v_c), with x behind the adapter and v_c a pseudo visual prompt's feature
    s^vl_c        sum_j softmax_j(k cos(x_j, v'_c)) scale cos(x_j, v'_c)

The answer is (1 - share) s^t + share (mix s^vg + (1 - mix) s^vl).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from t2ipal.clip import Backbone
from t2ipal.method_settings import MethodsSettings
from t2ipal.methods.base import Batch, Images, Phase, Rate, Terms, tuned_parameters
from t2ipal.methods.heatmap import local_similarity
from t2ipal.methods.t2i_pal import T2IPal
from t2ipal.methods.visual_prompts import PRETRAIN, VisualPrompts, pretraining_phase, pretraining_terms
from t2ipal.seeds import derive_seed


class T2IPalPVP(T2IPal):
    """See the module's text."""

    def __init__(
        self,
        backbone: Backbone,
        classes: Sequence[str],
        settings: MethodsSettings,
        seed: int,
        exported: bool = False,
    ) -> None:
        super().__init__(backbone, classes, settings, seed)
        self._both, self._pvp = settings.t2i_pal_pvp, settings.pvp
        generator = torch.Generator().manual_seed(derive_seed(seed, "tune", "visual"))
        self.visual = VisualPrompts(backbone, len(classes), self._pvp.pretrain, generator, exported)

    def phases(self) -> Sequence[Phase]:
        """PVP's first stage, and T2I-PAL's only one."""
        (tune,) = super().phases()
        if self._both.tuned:
            rate = Rate(self._own.prompt_lr, self._own.schedule.warmup_lr)
            tune = Phase(**{**vars(tune), "rates": {**tune.rates, "visual": rate}})
        if not self._both.pretraining:
            return [tune]
        return [pretraining_phase(self._pvp.pretrain, self._pvp.margin, "visual"), tune]

    def forward(self, batch: Batch, phase: str) -> Terms:
        """Stage 1 of PVP, then T2I-PAL's scores, and those of the visual prompts if they are tuned on."""
        if phase == PRETRAIN:
            if batch.captions is None:
                raise ValueError("pseudo visual prompts learn from captions")
            return pretraining_terms(
                self.visual(), batch.captions, batch.random, self._pvp.pretrain, self._pvp.scale
            )
        terms = super().forward(batch, phase)
        if self._both.tuned and batch.images is not None:
            visual = self._visual_parts(batch.images)
            terms.ranked.update({f"image_{name}": part for name, part in visual.items()})
        return terms

    @torch.no_grad()
    def parts(self, images: Images) -> dict[str, Tensor]:
        """T2I-PAL's parts, "visual_global" and "visual_local"."""
        return super().parts(images) | self._visual_parts(images)

    def fuse(self, parts: dict[str, Tensor]) -> Tensor:
        """(1 - share) s^t + share (mix s^vg + (1 - mix) s^vl)."""
        share, mix = self._both.share, self._own.mix
        visual = mix * parts["visual_global"] + (1 - mix) * parts["visual_local"]
        return (1 - share) * super().fuse(parts) + share * visual

    def export(self) -> dict[str, Tensor]:
        """All parameters; of the pseudo images only their features."""
        visual = {f"visual.{name}": value for name, value in self.visual.export().items()}
        return tuned_parameters(self) | visual

    def _visual_parts(self, images: Images) -> dict[str, Tensor]:
        seen = self._adapt(images) if self._both.adapted else images
        visual, settings = self.visual(), self._pvp
        sharpness = settings.visual_k_train if self.training else settings.visual_k_test
        local = local_similarity(seen.patches, visual.local, sharpness)
        return {
            "visual_global": settings.scale * seen.whole @ visual.whole.T,
            "visual_local": settings.scale * local,
        }
