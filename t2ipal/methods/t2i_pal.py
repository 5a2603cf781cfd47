"""T2I-PAL (arXiv 2506.10575): prompts, an adapter and class prototypes tuned on synthetic images and their
captions.

The paper's formulas are not public in code; what it leaves open follows TaI-DPT (arXiv 2211.12739) for
prompts, heatmap and local scores, and CLIP-Adapter (arXiv 2110.04544) for the adapter. Every part can be
switched off in the recipe.

    G_c, L_c   text features of class c behind the global and the local context
    x, x_j     the image's global and patch features, both through one shared adapter
    s^g_c      scale cos(x, G_c)
    M_cj       softmax_j(k cos(x_j, L_c)), the heatmap
    s^l_c      sum_j M_cj scale cos(x_j, L_c)
    s^p_c      scale cos(sum_j M_cj x_j, p_c), with p_c a learnable prototype

Each score of the image is trained by the ranking loss, and so are TaI-DPT's two of its caption. The answer is
mix s^g + (1 - mix) (s^l + s^p) / 2.

With `adapter: cache`, Tip-Adapter's cache (arXiv 2111.03930), which the paper cites, takes the adapter's
place: features stay as they are, and s^g_c gets scale alpha times the cache's score.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from t2ipal.clip import Backbone
from t2ipal.method_settings import MethodsSettings
from t2ipal.methods.adapter import Adapter
from t2ipal.methods.base import Batch, Images, Method, Phase, Rate, RowKind, Terms, TrainingSet
from t2ipal.methods.cache_adapter import CacheAdapter
from t2ipal.methods.caption_branch import caption_scores
from t2ipal.methods.heatmap import attention, local_similarities, pooled_sum, similarities
from t2ipal.methods.prompts import ClassFeatures, Prompts, Sentences
from t2ipal.seeds import derive_seed

TUNE = "tune"  # its only phase
BATCH = 256  # of images looked at while the prototypes get their first state


class T2IPal(Method):
    """See the module's text."""

    def __init__(
        self, backbone: Backbone, classes: Sequence[str], settings: MethodsSettings, seed: int
    ) -> None:
        super().__init__()
        own = self._own = settings.t2i_pal
        generator = torch.Generator().manual_seed(derive_seed(seed, "tune", "parameters"))
        self.prompts = (
            Prompts(backbone, classes, own.context, generator)
            if own.prompts
            else Sentences(backbone, classes, (settings.zero_shot.template,))
        )
        with torch.no_grad():
            local = self.prompts().local.cpu()
        width = local.shape[1]
        # What only images teach has no place where there are none.
        learns = own.image_branch
        bottleneck = learns and own.adapter == "bottleneck"
        self.adapter = Adapter(width, own.alpha, generator) if bottleneck else None
        self.cache = (
            CacheAdapter(width, len(classes), own.cache_size, own.cache_sharpness)
            if learns and own.adapter == "cache"
            else None
        )
        self.prototypes = nn.Parameter(local.clone()) if learns and own.prototypes else None

    def phases(self) -> Sequence[Phase]:
        """One, from images and captions; from captions alone where the images are switched off."""
        own = self._own
        warmup = own.schedule.warmup_lr
        rates = {"prompts": Rate(own.prompt_lr, warmup)} if own.prompts else {}
        if own.image_branch:
            rates |= {name: Rate(own.head_lr, warmup) for name in ("adapter", "cache.keys", "prototypes")}
        rows: RowKind = "images" if own.image_branch else "captions"
        return [
            Phase(
                TUNE,
                rows,
                own.schedule,
                rates,
                margin=own.margin,
                class_ranking=own.class_ranking,
                templates=own.templates,
            )
        ]

    @torch.no_grad()
    def begin(self, phase: Phase, data: TrainingSet) -> None:
        """Start each prototype at the mean z_c of the images that hold c; where none does, it stays at
        L_c. Fill the cache.
        """
        if phase.rows != "images":
            return
        if self.cache is not None:
            self.cache.fill(data)
        if self.prototypes is None:
            return
        total, count = torch.zeros_like(self.prototypes), torch.zeros_like(self.prototypes[:, 0])
        local = self.prompts().local  # once: in training mode it is a pass through the text tower
        for images, labels in data.in_order(BATCH, self.prototypes.device):
            holds = labels.to(total.dtype)
            patches = self._adapt(images).patches
            weights = attention(similarities(patches, local), self._sharpness)
            total += pooled_sum(weights * holds[:, :, None], patches)
            count += holds.sum(dim=0)
        mean = functional.normalize(total, dim=-1)
        self.prototypes.copy_(torch.where(count[:, None] > 0, mean, self.prototypes))

    def forward(self, batch: Batch, phase: str) -> Terms:
        """Scores of images, and of captions where the recipe trains on them."""
        classes, own = self.prompts(), self._own
        scores: dict[str, Tensor] = {}
        if own.image_branch and batch.images is not None:
            parts = self._image_parts(self._adapt(batch.images), classes, {})
            scores = {f"image_{name}": part for name, part in parts.items()}
        if own.caption_branch and batch.captions is not None:
            scores |= caption_scores(batch.captions, classes, own.scale, self._sharpness)
        return Terms(ranked=scores)

    @torch.no_grad()
    def parts(self, images: Images) -> dict[str, Tensor]:
        """Scores "global", "local" and, with prototypes, "prototype"."""
        return self.parts_with(images, {})

    @torch.no_grad()
    def parts_with(self, images: Images, prototypes: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The parts, and by its name scale cos(z_c, p_c) of every further table of L2-normalised prototypes
        [C, D].
        """
        return self._image_parts(self._adapt(images), self.prompts(), prototypes)

    def fuse(self, parts: dict[str, Tensor]) -> Tensor:
        """mix s^g + (1 - mix) times the mean of the local parts."""
        local = [parts[name] for name in ("local", "prototype") if name in parts]
        return self._own.mix * parts["global"] + (1 - self._own.mix) * torch.stack(local).mean(dim=0)

    @torch.no_grad()
    def heatmap(self, images: Images) -> Tensor:
        """cos(x_j, L_c), before the softmax: comparable between images."""
        return similarities(self._adapt(images).patches, self.prompts().local)

    @property
    def _sharpness(self) -> float:
        """Of the heatmap; 0, equal weights, where the recipe leaves it out."""
        if not self._own.heatmap:
            return 0.0
        return self._own.k_train if self.training else self._own.k_test

    def _adapt(self, images: Images) -> Images:
        if self.adapter is None:
            return images
        return Images(self.adapter(images.whole), self.adapter(images.patches))

    def _image_parts(
        self, adapted: Images, classes: ClassFeatures, prototypes: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        whole = adapted.whole @ classes.whole.T
        if self.cache is not None:
            whole = whole + self._own.alpha * self.cache(adapted.whole)
        if self.prototypes is not None:
            prototypes = {"prototype": functional.normalize(self.prototypes, dim=-1), **prototypes}
        local = local_similarities(adapted.patches, classes.local, self._sharpness, list(prototypes.values()))
        parts = {"global": whole, **dict(zip(("local", *prototypes), local, strict=True))}
        return {name: self._own.scale * part for name, part in parts.items()}
