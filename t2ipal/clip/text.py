"""The frozen text tower: sentences, and prompts whose context is learned.

Shapes: B sentences or C classes, L tokens, S contexts, W width of a token embedding, D embedding width.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

import torch
from open_clip.transformer import text_global_pool
from torch import Tensor, nn
from torch.nn import functional

from t2ipal.clip.packed import PACKED, PackedNames, pack_all
from t2ipal.errors import UserError

Tokenizer = Callable[[list[str]], Tensor]


class TextFeatures(NamedTuple):
    """L2-normalised float32 features of sentences."""

    whole: Tensor  # [B, D]
    tokens: Tensor  # [B, L, D] every projected token, begin and end tokens included
    mask: Tensor  # [B, L] bool, False on padding


class ClassTokens(NamedTuple):
    """Token ids of class names with room for a context of n embeddings before each name."""

    ids: Tensor  # [C, L]; the n places of the context hold the name's first token and are never read
    start: int  # index of the first context place
    length: int  # n
    packed: Sequence[PackedNames] | None  # for contexts that all share; None where the tower is not causal

    def to(self, device: torch.device | str) -> Self:
        """The same on a device."""
        packed = None if self.packed is None else tuple(names.to(device) for names in self.packed)
        return self._replace(ids=self.ids.to(device), packed=packed)


def end_token(tokenizer: Any) -> int:
    """Id of the token that ends a sentence, asked from the tokenizer itself."""
    inner = getattr(tokenizer, "tokenizer", tokenizer)
    for name in ("eot_token_id", "eos_token_id", "sep_token_id"):
        if (found := getattr(inner, name, None)) is not None:
            return int(found)
    raise UserError(
        f"the tokenizer {type(inner).__name__} of the backbone names no end token",
        "set eos_token in the tokenizer_config.json of the model folder",
    )


class TextTower:
    """One view of the two layouts in which open_clip keeps its text transformer."""

    def __init__(self, model: Any, tokenizer: Tokenizer) -> None:
        tower = getattr(model, "text", model)
        if not hasattr(tower, "token_embedding") or getattr(tower, "cls_emb", None) is not None:
            raise UserError(
                f"the text tower {type(tower).__name__} of this backbone does not take prompts as embeddings",
                "choose an open_clip model with its own text transformer, such as RN50 or ViT-B-16",
            )
        self._tower = tower
        self._pool = getattr(tower, "text_pool_type", None) or tower.pool_type
        self._end = end_token(tokenizer)
        self._tokenize = tokenizer
        self.width = int(tower.token_embedding.embedding_dim)
        self.context_length = int(tower.context_length)

    @property
    def features_width(self) -> int:
        """Width D of the features."""
        projection = self._tower.text_projection
        if projection is None:
            return self.width
        if isinstance(projection, nn.Linear):
            return projection.out_features
        return int(projection.shape[1])

    def sentences(self, texts: Sequence[str]) -> TextFeatures:
        """Features of whole sentences, with L that of the longest one; a causal tower computes no more. Those
        that are longer than the model's context are cut by the tokenizer.
        """
        ids = self._tokenize(list(texts))
        ids = ids[:, : self._needed(ids)].to(self._device)
        whole, tokens = self._encode(self._tower.token_embedding(ids), ids)
        places = torch.arange(ids.shape[1], device=ids.device)
        return TextFeatures(whole, tokens, places <= self._last(ids)[:, None])

    def class_tokens(self, names: Sequence[str], length: int) -> ClassTokens:
        """Token ids of `names` behind `length` places for the context; UserError when they do not fit."""
        ids = self._tokenize(list(names)).to(self._device)
        start = int(self._last(self._tokenize([""]).to(self._device))[0])
        room = self.context_length - length - 1
        for name, last in zip(names, self._last(ids).tolist(), strict=True):
            if last > room:
                raise UserError(
                    f"class name {name!r} and a context of {length} tokens are {last + length + 1} tokens; "
                    f"the backbone takes {self.context_length}",
                    "lower methods.<method>.context or shorten the name",
                )
        places = ids[:, start : start + 1].expand(-1, length)
        ids = torch.cat([ids[:, :start], places, ids[:, start:]], dim=1)[:, : self.context_length]
        ids = ids[:, : self._needed(ids)]
        packed = pack_all(ids, self._last(ids), start + length, PACKED) if self._causal else None
        return ClassTokens(ids, start, length, packed)

    def prompts(self, contexts: Tensor, classes: ClassTokens) -> Tensor:
        """Features [C, D] of every class behind its own one of the `contexts` [C, n, W], which gradients
        reach.
        """
        embedded = self._tower.token_embedding(classes.ids)
        return self._encode(_behind(contexts, embedded, classes), classes.ids)[0]

    def packed_prompts(self, contexts: Tensor, classes: ClassTokens, names: PackedNames) -> Tensor:
        """Features [C, S, D] of the classes of one sequence, behind each of the `contexts` [S, n, W] that
        all share; gradients reach the contexts. Only a causal tower has them.
        """
        tower = self._tower
        embedded = tower.token_embedding(names.ids).expand(len(contexts), -1, -1)
        placed = _behind(contexts, embedded, classes) + tower.positional_embedding[names.places]
        hidden = tower.transformer(placed, attn_mask=names.mask)[:, names.ends]
        features = _project(tower.ln_final(hidden), tower.text_projection).transpose(0, 1)
        return functional.normalize(features.float(), dim=-1)

    @property
    def _device(self) -> torch.device:
        device: torch.device = self._tower.token_embedding.weight.device
        return device

    def _last(self, ids: Tensor) -> Tensor:
        """Index [B] of the first end token of each row (the last place of a row that was cut)."""
        found = ids == self._end
        return torch.where(found.any(dim=1), found.int().argmax(dim=1), ids.shape[1] - 1)

    @property
    def _causal(self) -> bool:
        """Whether nothing after the end token is ever read, nor anything by what is before it."""
        return self._tower.attn_mask is not None and self._pool in ("argmax", "eos")

    def _needed(self, ids: Tensor) -> int:
        """Places to compute. In a causal tower those up to the last end token, which saves most of the time
        of a prompt; in others the padding is part of what the model was trained to see.
        """
        return int(self._last(ids).max()) + 1 if self._causal else int(ids.shape[1])

    def _encode(self, embedded: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled [B, D] and token [B, L, D] features of token embeddings [B, L, W]."""
        tower, places = self._tower, ids.shape[1]
        mask = None if tower.attn_mask is None else tower.attn_mask[:places, :places]
        hidden = tower.ln_final(
            tower.transformer(embedded + tower.positional_embedding[:places], attn_mask=mask)
        )
        tokens = _project(hidden, tower.text_projection)
        whole = text_global_pool(tokens, ids, self._pool, eos_token_id=self._end)
        return functional.normalize(whole.float(), dim=-1), functional.normalize(tokens.float(), dim=-1)


def _behind(contexts: Tensor, embedded: Tensor, classes: ClassTokens) -> Tensor:
    """Token embeddings [N, L, W] with `contexts` [N, n, W] in their places."""
    # A method's parameters start on the CPU, wherever the backbone is.
    stop = classes.start + classes.length
    return torch.cat([embedded[:, : classes.start], contexts.to(embedded), embedded[:, stop:]], dim=1)


def _project(hidden: Tensor, projection: nn.Module | Tensor | None) -> Tensor:
    if projection is None:
        return hidden
    projected: Tensor = projection(hidden) if isinstance(projection, nn.Module) else hidden @ projection
    return projected
