"""T2I-PAL with PVP: both papers in one recognizer.

The two systems learn different things. T2I-PAL learns from painted images how classes look to CLIP, and what
the painter left out of a picture teaches it wrongly. PVP learns from sentences alone and has never seen a
painted image, so it can tell which named things are not there. Three steps:

1. PVP is tuned as it is alone, both stages, and then rests.
2. Of each class's painted images those that PVP scores lowest, the share `doubt`, are taken neither as images
   of the class nor as images without it.
3. T2I-PAL is tuned on what is left. In its answer PVP's local visual prompt U'_c is one more prototype:

    z_c     sum_j M_cj x_j, as T2I-PAL pools patches
    s^v_c   scale cos(z_c, U'_c)

The answer is (1 - share) s^t + share s^v, with s^t T2I-PAL's own.

With `judge: t2i_pal` a T2I-PAL tuned before takes PVP's place in step 2 and nothing of PVP is used: to see
whether any judge would do. In the drawn world that loses 0.9 points, 0.4 of them against T2I-PAL alone. The
visual prototype gains 0.6 on development scenes and 0.4 on test scenes; leaving out doubtful labels gained
0.3 on the former and nothing on the latter.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from t2ipal.clip import Backbone
from t2ipal.method_settings import MethodsSettings
from t2ipal.methods.base import Batch, Images, Method, Phase, Terms, TrainingSet
from t2ipal.methods.pvp import PVP
from t2ipal.methods.t2i_pal import TUNE, T2IPal
from t2ipal.seeds import derive_seed

JUDGE = "judge"  # the phase of a T2I-PAL that judges labels
BATCH = 256  # of images that are judged at once


class T2IPalPVP(Method):
    """See the module's text."""

    def __init__(
        self,
        backbone: Backbone,
        classes: Sequence[str],
        settings: MethodsSettings,
        seed: int,
        exported: bool = False,
    ) -> None:
        super().__init__()
        self._settings = settings.t2i_pal_pvp
        self.t2i_pal = T2IPal(backbone, classes, settings, seed)
        self.judge: PVP | T2IPal
        if self._settings.judge == "pvp":
            self.judge = PVP(backbone, classes, settings.pvp, seed, exported)
        else:
            self.judge = T2IPal(backbone, classes, settings, derive_seed(seed, JUDGE))

    def phases(self) -> Sequence[Phase]:
        """Those of the judge, and T2I-PAL's only one."""
        judging = [_within(phase, "judge") for phase in self.judge.phases()]
        if isinstance(self.judge, T2IPal):
            judging = [replace(phase, name=JUDGE) for phase in judging]
        return [*judging, *(_within(phase, "t2i_pal") for phase in self.t2i_pal.phases())]

    def begin(self, phase: Phase, data: TrainingSet) -> None:
        """What the phase's own method takes from the training set."""
        (self.t2i_pal if phase.name == TUNE else self.judge).begin(phase, data)

    @torch.no_grad()
    def select(self, phase: Phase, data: TrainingSet) -> TrainingSet:
        """For T2I-PAL, the training set without the labels that the judge doubts."""
        if phase.name != TUNE or phase.rows != "images" or not self._settings.doubt:
            return data
        device = self.t2i_pal.device
        seen = [(self.judge.scores(images), labels) for images, labels in data.in_order(BATCH, device)]
        scores, labels = (torch.cat(tables) for tables in zip(*seen, strict=True))
        return data.without_labels(doubtful(scores, labels, self._settings.doubt).cpu())

    def forward(self, batch: Batch, phase: str) -> Terms:
        """What the loss of the phase's own method is made of."""
        if phase == TUNE:
            terms: Terms = self.t2i_pal(batch, phase)
        else:
            terms = self.judge(batch, TUNE if phase == JUDGE else phase)
        return terms

    @torch.no_grad()
    def parts(self, images: Images) -> dict[str, Tensor]:
        """T2I-PAL's parts, and "visual"."""
        visual = self.judge.visual_classes() if isinstance(self.judge, PVP) else None
        return self.t2i_pal.parts_with(images, {} if visual is None else {"visual": visual.local})

    def fuse(self, parts: dict[str, Tensor]) -> Tensor:
        """(1 - share) s^t + share s^v."""
        own = self.t2i_pal.fuse(parts)
        if "visual" not in parts:
            return own
        return (1 - self._settings.share) * own + self._settings.share * parts["visual"]

    def heatmap(self, images: Images) -> Tensor:
        """T2I-PAL's."""
        return self.t2i_pal.heatmap(images)

    def export(self) -> dict[str, Tensor]:
        """What both export."""
        parts = {"t2i_pal": self.t2i_pal, "judge": self.judge}
        return {f"{part}.{name}": value for part in parts for name, value in parts[part].export().items()}


def doubtful(scores: Tensor, labels: Tensor, share: float) -> Tensor:
    """Which labels [N, C] are among the share of their class that the judge's `scores` [N, C] put lowest."""
    doubted = torch.zeros_like(labels)
    for c in range(labels.shape[1]):
        held = scores[labels[:, c], c].double()  # of a quantile's rank float32 keeps too little
        if len(held):
            doubted[:, c] = labels[:, c] & (scores[:, c] < held.quantile(share))
    return doubted


def _within(phase: Phase, module: str) -> Phase:
    """The phase of a method that is a module of another one."""
    return replace(phase, rates={f"{module}.{name}": rate for name, rate in phase.rates.items()})
