"""Global and dense features from an open_clip image tower, at any input resolution.

Shapes: B images, P = h x w patches, W tower width, D embedding width.
"""

from typing import Any, NamedTuple

import torch
from open_clip.modified_resnet import ModifiedResNet
from open_clip.transformer import VisionTransformer
from torch import Tensor
from torch.nn import functional

from t2ipal.errors import UserError


class ImageFeatures(NamedTuple):
    """L2-normalised float32 features of a batch of images."""

    whole: Tensor  # [B, D] global feature
    patches: Tensor  # [B, P, D] dense features, row by row from the top left
    grid: tuple[int, int]  # (h, w) with P = h * w


def image_features(tower: Any, pixels: Tensor, pool_positions: bool) -> ImageFeatures:
    """Features of normalised `pixels` [B, 3, H, W]; H and W are multiples of the tower's stride.

    `pool_positions` matters to a ModifiedResNet only: with it, attention pooling adds CLIP's positional
    embedding (interpolated to the grid), as CLIP was trained; without it, pooling ignores positions, the
    choice of TaI-DPT and TAI++ (arXiv 2211.12739 and 2405.06926, authors' code). Dense features never have
    positions added at the pool.
    """
    if isinstance(tower, ModifiedResNet):
        whole, patches, grid = _resnet(tower, pixels, pool_positions)
    elif isinstance(tower, VisionTransformer) and tower.attn_pool is None:
        whole, patches, grid = _vit(tower, pixels)
    else:
        raise UserError(
            f"the image tower {type(tower).__name__} of this backbone has no dense features here",
            "choose an open_clip model with a ModifiedResNet (RN50, ...) or a plain VisionTransformer "
            "(ViT-B-16, ...)",
        )
    return ImageFeatures(
        functional.normalize(whole.float(), dim=-1), functional.normalize(patches.float(), dim=-1), grid
    )


def _resnet(tower: Any, pixels: Tensor, pool_positions: bool) -> tuple[Tensor, Tensor, tuple[int, int]]:
    """Attention pooling of the layer-4 grid, and the value and output projections of each cell of it."""
    cells = tower.layer4(tower.layer3(tower.layer2(tower.layer1(tower.stem(pixels)))))
    grid = (int(cells.shape[2]), int(cells.shape[3]))
    cells = cells.flatten(2).transpose(1, 2)  # [B, P, W]
    pool = tower.attnpool
    tokens = torch.cat([cells.mean(dim=1, keepdim=True), cells], dim=1)  # the mean is the pool's query
    if pool_positions:
        tokens = tokens + resize_positions(pool.positional_embedding, grid)
    query, keys, values = (
        # [B, heads, 1 or P + 1, W / heads]
        projection(part).reshape(*part.shape[:2], pool.num_heads, -1).transpose(1, 2)
        for projection, part in ((pool.q_proj, tokens[:, :1]), (pool.k_proj, tokens), (pool.v_proj, tokens))
    )
    pooled = functional.scaled_dot_product_attention(query, keys, values).transpose(1, 2).flatten(2)
    # In one product, as wide as the patches make it: for some few rows libraries have other kernels, by
    # which an image's last bits would depend on how many are beside it.
    projected = pool.c_proj(torch.cat([pooled, pool.v_proj(cells)], dim=1))
    return projected[:, 0], projected[:, 1:], grid


def _vit(tower: Any, pixels: Tensor) -> tuple[Tensor, Tensor, tuple[int, int]]:
    """Pooled class token, and the tokens of a last block in which each one attends to itself alone.

    Attention to oneself alone leaves the value path (value and output projections, residual, MLP), which
    keeps a patch's feature about that patch while it stays in the space of the class token.
    """
    cells = tower.conv1(pixels)
    grid = (int(cells.shape[2]), int(cells.shape[3]))
    cells = cells.flatten(2).transpose(1, 2)  # [B, P, W]
    first = tower.class_embedding.to(cells.dtype).expand(len(cells), 1, -1)
    tokens = torch.cat([first, cells], dim=1) + resize_positions(tower.positional_embedding, grid)
    tokens = tower.ln_pre(tokens)
    for block in tower.transformer.resblocks[:-1]:
        tokens = block(tokens)
    last = tower.transformer.resblocks[-1]
    itself = torch.full((tokens.shape[1],) * 2, float("-inf"), dtype=tokens.dtype, device=tokens.device)
    itself.fill_diagonal_(0.0)
    pooled, _ = tower._pool(last(tokens))
    patches = tower.ln_post(last(tokens, attn_mask=itself)[:, 1:])
    projected = torch.cat([pooled[:, None], patches], dim=1) @ tower.proj  # as above
    return projected[:, 0], projected[:, 1:], grid


def resize_positions(positions: Tensor, grid: tuple[int, int]) -> Tensor:
    """Positional embedding [1 + n * n, W] of one leading token and a square grid, bicubic to [1 + h * w,
    W].
    """
    side = round((len(positions) - 1) ** 0.5)
    if (side, side) == grid:
        return positions
    square = positions[1:].float().reshape(side, side, -1).permute(2, 0, 1)[None]
    resized = functional.interpolate(square, size=grid, mode="bicubic", align_corners=False)[0]
    return torch.cat([positions[:1], resized.flatten(1).T.to(positions.dtype)])
