"""The frozen backbone: an open_clip model by name, from a local folder, or the picture world's own."""

import difflib
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import open_clip
import torch
from open_clip.pretrained import get_pretrained_cfg, is_pretrained_cfg
from open_clip.transform import merge_preprocess_dict
from PIL import Image
from torch import Tensor

from t2ipal.clip.chunks import in_chunks, in_parts
from t2ipal.clip.identity import weights_digest
from t2ipal.clip.packed import PackedNames
from t2ipal.clip.preprocess import Preprocess
from t2ipal.clip.text import ClassTokens, TextFeatures, TextTower, Tokenizer
from t2ipal.clip.vision import ImageFeatures, image_features
from t2ipal.errors import UserError
from t2ipal.picturebook.weights import resolve
from t2ipal.recipe import BackboneRecipe

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class Backbone:
    """A CLIP model that is never trained. Not a Module: a method that holds one does not own its parameters.

    `recipe.dtype` is that of the image tower; the text tower stays float32, because gradients of prompts pass
    it.
    """

    def __init__(self, model: Any, tokenizer: Tokenizer, recipe: BackboneRecipe) -> None:
        self.recipe = recipe
        self._model = model.eval().requires_grad_(False)
        self.digest = weights_digest(model.state_dict())  # before they are rounded
        self._model.visual.to(_DTYPES[recipe.dtype])
        self._text = TextTower(self._model, tokenizer)
        wanted = {"size": recipe.image_size, "resize_mode": recipe.resize}
        changes = {key: value for key, value in wanted.items() if value is not None}
        self.preprocess = Preprocess(merge_preprocess_dict(self._model.visual.preprocess_cfg, changes))

    def to(self, device: torch.device | str) -> "Backbone":
        """Move the model; returns itself."""
        self._model.to(device)
        return self

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        device: torch.device = self._model.logit_scale.device
        return device

    @property
    def width(self) -> int:
        """Width W of the embeddings that a prompt's context replaces."""
        return self._text.width

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """The frozen parameters of both towers."""
        return iter(self._model.parameters())

    @property
    def embedding(self) -> int:
        """Width D of the features that images and texts share."""
        return int(self._text.features_width)

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the image tower's input, in pixels."""
        size: int | tuple[int, int] = self.preprocess.config["size"]
        return (size, size) if isinstance(size, int) else (size[0], size[1])

    @property
    def logit_scale_parameter(self) -> Tensor:
        """The logarithm [] of the factor by which CLIP multiplied cosine similarities in its training."""
        scale: Tensor = self._model.logit_scale.detach()
        return scale

    @property
    def logit_scale(self) -> Tensor:
        """That factor [] itself, about 100."""
        return self.logit_scale_parameter.exp()

    def encode(self, pixels: Tensor, pool_positions: bool, chunk: int) -> Tensor:
        """Global features [N, D] of inputs [N, 3, H, W], `chunk` of them at once; gradients reach the
        pixels.
        """

        def whole(part: Tensor) -> Tensor:
            return image_features(self._model.visual, part, pool_positions).whole

        return in_chunks(whole, chunk, pixels.to(self.device))

    @torch.no_grad()
    def images(self, images: Sequence[Image.Image]) -> ImageFeatures:
        """Features of PIL images of any size and mode."""
        return self.fitted(self.preprocess.fit(images))

    @torch.no_grad()
    def fitted(self, fitted: Tensor) -> ImageFeatures:
        """Features of images [B, H, W, 3] uint8 that `preprocess.fit` made."""
        return self.pixels(self.preprocess.normalise(fitted.to(self.device)))

    @cached_property
    def exact_groups(self) -> tuple[int, ...]:
        """How many images may be computed together, the most first, and have the bits that each alone has:
        found out by doing it, on the thread and the device that it is asked about. On a CPU more than four
        are no faster.
        """
        height, width = self.input_size
        made = torch.Generator().manual_seed(0)
        fitted = torch.randint(0, 256, (4, height, width, 3), dtype=torch.uint8, generator=made)
        alone = [self.fitted(fitted[i : i + 1]) for i in range(4)]

        def exact(images: int) -> bool:
            together = self.fitted(fitted[:images])
            return all(
                torch.equal(together.whole[i], each.whole[0])
                and torch.equal(together.patches[i], each.patches[0])
                for i, each in enumerate(alone[:images])
            )

        return (*(images for images in (4, 3, 2) if exact(images)), 1)

    @torch.no_grad()
    def pixels(self, pixels: Tensor) -> ImageFeatures:
        """Features of normalised pixels [B, 3, H, W] at any resolution that the tower's stride divides."""
        pixels = pixels.to(self.device, _DTYPES[self.recipe.dtype])
        return image_features(self._model.visual, pixels, self.recipe.pool_positions)

    @torch.no_grad()
    def sentences(self, texts: Sequence[str]) -> TextFeatures:
        """Features of whole sentences."""
        return self._text.sentences(texts)

    def class_tokens(self, names: Sequence[str], length: int) -> ClassTokens:
        """Token ids of class names behind `length` places for a context."""
        return self._text.class_tokens(names, length)

    def prompts(self, contexts: Tensor, classes: ClassTokens, chunk: int) -> Tensor:
        """Features [C, D] of every class behind its own one of the contexts [C, n, W], `chunk` classes at
        once; gradients reach the contexts.
        """

        def features(before: Tensor, ids: Tensor) -> Tensor:
            return self._text.prompts(before, classes._replace(ids=ids))

        return in_chunks(features, chunk, contexts, classes.ids)

    def shared_prompts(self, contexts: Tensor, classes: ClassTokens, tokens: int) -> Tensor:
        """Features [S, C, D] of every class behind each of the contexts [S, n, W] that all share, in one
        pass for all contexts; gradients reach the contexts.

        A causal tower computes nothing twice (`t2ipal.clip.packed`). The inner state of `tokens` tokens at
        most is held, and of a sequence more.
        """
        if classes.packed is None:
            own = [each.expand(len(classes.ids), -1, -1) for each in contexts]
            chunk = max(tokens // classes.ids.shape[1], 1)
            return torch.stack([self.prompts(each, classes, chunk) for each in own])

        def features(names: PackedNames) -> Tensor:
            return self._text.packed_prompts(contexts, classes, names)

        held = tokens // (len(contexts) * max(len(names.ids) for names in classes.packed))
        return in_parts(features, [[names] for names in classes.packed], held).transpose(0, 1)


def load_backbone(
    recipe: BackboneRecipe, device: torch.device | str = "cpu", random: bool = False
) -> Backbone:
    """Load a frozen backbone; UserError when its name, its weights or its folder is not usable.

    With `random` the weights are drawn instead of loaded: for measuring time and memory without a download.
    """
    folder = resolve(recipe.model)
    is_folder = folder != recipe.model or os.path.isdir(folder) or folder.startswith((".", "/", "~"))
    name = f"local-dir:{os.path.expanduser(folder)}" if is_folder else folder
    if not (random or is_folder):
        check_name(recipe)
    try:
        with _quiet_root_logger():
            model = open_clip.create_model(
                name,
                pretrained=None if random else recipe.pretrained,
                load_weights=not random,
                require_pretrained=not random,
            )
            tokenizer = open_clip.get_tokenizer(name)
    # open_clip, safetensors and torch report a damaged folder with many unrelated types of exception.
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"cannot load the backbone {recipe.model!r}: {reason}",
            "give backbone.model an open_clip name (with backbone.pretrained) or a folder that holds "
            "open_clip_config.json, its weights and its tokenizer",
        ) from error
    return Backbone(model.to(device), tokenizer, recipe)


def check_name(recipe: BackboneRecipe) -> None:
    """Raise UserError for a name or tag that open_clip does not know, or weights trained for another model,
    without loading or fetching weights.

    A local folder, a model of a hub and a file of weights are left to `load_backbone`.
    """
    model, tag = recipe.model, recipe.pretrained
    if resolve(model) != model or model.startswith((".", "/", "~")) or os.path.isdir(model) or ":" in model:
        return
    known = model.replace("/", "-")  # as open_clip reads it
    if known not in open_clip.list_models():
        near = difflib.get_close_matches(known, open_clip.list_models(), n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "see open_clip.list_models()"
        raise UserError(f"backbone.model: open_clip has no model {model!r}", hint)
    if not tag:
        _refuse_random(model)
    elif is_pretrained_cfg(known, tag):
        _refuse_other_activation(known, tag)
    elif not os.path.isfile(tag):
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(known)) or "no tag: it has no weights"
        raise UserError(
            f"backbone.pretrained: open_clip has no weights {tag!r} of {model}", f"set it to one of: {tags}"
        )


@contextmanager
def _quiet_root_logger() -> Iterator[None]:
    """Within, only errors are logged: open_clip tells every step of loading on the root logger."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(before)


def _refuse_random(model: str) -> None:
    tags = open_clip.list_pretrained_tags_by_model(model)
    known = f"one of {', '.join(tags)}" if tags else "a known model: see open_clip.list_pretrained()"
    raise UserError(f"the backbone {model!r} is named without weights", f"set backbone.pretrained to {known}")


def _refuse_other_activation(name: str, tag: str) -> None:
    """Weights of OpenAI and some others need QuickGELU; open_clip only warns and gives wrong features."""
    config, weights = open_clip.get_model_config(name) or {}, get_pretrained_cfg(name, tag)
    quick = bool(weights.get("quick_gelu"))
    if quick == bool(config.get("quick_gelu")):
        return
    plain = name.removesuffix("-quickgelu")
    other = f"{plain}-quickgelu" if quick else plain
    known = other != name and other in open_clip.list_models()
    raise UserError(
        f"the weights {tag!r} were trained {'with' if quick else 'without'} QuickGELU, "
        f"and the backbone {name!r} computes {'without' if quick else 'with'} it",
        f"set backbone.model to {other}" if known else "choose other weights in backbone.pretrained",
    )
