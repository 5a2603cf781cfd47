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

The answer is mix s^g + (1 - mix) (s^l + s^p) / 2.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from t2ipal.clip import Backbone
from t2ipal.methods.adapter import Adapter
from t2ipal.methods.base import Captions, Images, Method
from t2ipal.methods.heatmap import aggregate, attention, pool, similarities
from t2ipal.recipe import TuneRecipe
from t2ipal.seeds import derive_seed

CONTEXT_STD = 0.02  # of the first context, as TaI-DPT


class T2IPal(Method):
    """See the module's text."""

    def __init__(self, backbone: Backbone, classes: Sequence[str], recipe: TuneRecipe, seed: int) -> None:
        super().__init__()
        self._backbone = backbone
        self._recipe = recipe
        self._tokens = backbone.class_tokens(classes, recipe.context)
        self._text: tuple[Tensor, Tensor] | None = None
        generator = torch.Generator().manual_seed(derive_seed(seed, "tune", "parameters"))
        shape = (recipe.context, backbone.width)
        self.global_context = nn.Parameter(torch.randn(shape, generator=generator) * CONTEXT_STD)
        self.local_context = nn.Parameter(torch.randn(shape, generator=generator) * CONTEXT_STD)
        with torch.no_grad():
            local = self._classes()[1].cpu()
        self.adapter = Adapter(local.shape[1], recipe.alpha, generator) if recipe.adapter else None
        self.prototypes = nn.Parameter(local.clone()) if recipe.prototypes else None

    @torch.no_grad()
    def initialise(self, batches: Iterable[tuple[Images, Tensor]]) -> None:
        """Start each prototype at the mean z_c of the images that hold c; where none does, it stays at
        L_c.
        """
        if self.prototypes is None:
            return
        total, count = torch.zeros_like(self.prototypes), torch.zeros_like(self.prototypes[:, 0])
        for images, labels in batches:
            _, patches = self._adapt(images)
            holds = labels.to(patches.dtype)
            pooled = pool(self._attend(similarities(patches, self._classes()[1])), patches)
            total += torch.einsum("bc,bcd->cd", holds, pooled)
            count += holds.sum(dim=0)
        mean = functional.normalize(total, dim=-1)
        self.prototypes.copy_(torch.where(count[:, None] > 0, mean, self.prototypes))

    def forward(self, images: Images, captions: Captions | None = None) -> dict[str, Tensor]:
        """Parts of images, and of captions where the recipe trains on them."""
        classes = self._classes()
        scores = {f"image_{name}": part for name, part in self._image_parts(images, classes).items()}
        if captions is not None and self._recipe.caption_branch:
            tokens = similarities(captions.tokens, classes[1])
            scores["caption_global"] = self._recipe.scale * captions.whole @ classes[0].T
            scores["caption_local"] = self._recipe.scale * aggregate(
                self._attend(tokens, captions.mask), tokens
            )
        return scores

    @torch.no_grad()
    def parts(self, images: Images) -> dict[str, Tensor]:
        """Scores "global", "local" and, with prototypes, "prototype"."""
        return self._image_parts(images, self._classes())

    def fuse(self, parts: dict[str, Tensor]) -> Tensor:
        """mix s^g + (1 - mix) times the mean of the local parts."""
        local = [part for name, part in parts.items() if name != "global"]
        return self._recipe.mix * parts["global"] + (1 - self._recipe.mix) * torch.stack(local).mean(dim=0)

    @torch.no_grad()
    def heatmap(self, images: Images) -> Tensor:
        """cos(x_j, L_c), before the softmax: comparable between images."""
        return similarities(self._adapt(images)[1], self._classes()[1])

    def train(self, mode: bool = True) -> "T2IPal":
        """Prompts are encoded at every step of training, and once in evaluation."""
        self._text = None
        super().train(mode)
        return self

    def _classes(self) -> tuple[Tensor, Tensor]:
        """G and L, [C, D] each."""
        if self._text is not None:
            return self._text
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.training):
            contexts = (self.global_context, self.local_context)
            first, second = (self._backbone.prompts(context, self._tokens) for context in contexts)
        self._text = None if self.training else (first, second)
        return first, second

    def _adapt(self, images: Images) -> tuple[Tensor, Tensor]:
        if self.adapter is None:
            return images.whole, images.patches
        return self.adapter(images.whole), self.adapter(images.patches)

    def _attend(self, similarity: Tensor, mask: Tensor | None = None) -> Tensor:
        """The heatmap, or equal weights where the recipe leaves it out."""
        sharpness = self._recipe.k_train if self.training else self._recipe.k_test
        return attention(similarity, sharpness if self._recipe.heatmap else 0.0, mask)

    def _image_parts(self, images: Images, classes: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        whole, patches = self._adapt(images)
        similarity = similarities(patches, classes[1])
        weights = self._attend(similarity)
        parts = {"global": whole @ classes[0].T, "local": aggregate(weights, similarity)}
        if self.prototypes is not None:
            pooled = functional.normalize(pool(weights, patches), dim=-1)
            parts["prototype"] = (pooled * functional.normalize(self.prototypes, dim=-1)).sum(dim=-1)
        return {name: self._recipe.scale * part for name, part in parts.items()}
