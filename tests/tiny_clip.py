"""Tiny random CLIP models in the real file format, for tests that need no trained one."""

import json
import tempfile
from functools import cache
from pathlib import Path

import open_clip
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from t2ipal.clip import Backbone, load_backbone
from t2ipal.recipe import BackboneRecipe

WORDS = ["a", "picture", "photo", "of", "and", "the", "fish", "house", "tree", "teddy", "bear", "red", "blue"]
CONTEXT_LENGTH = 16
EMBED_DIM = 24

torch.set_num_threads(1)

TOWERS = {
    "resnet": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "head_width": 32},
    "vit": {"image_size": 64, "layers": 2, "width": 32, "head_width": 16, "patch_size": 16},
}


_folders = tempfile.TemporaryDirectory()  # removed when the tests end


@cache
def tiny_folder(tower: str) -> str:
    """A model folder with one of TOWERS, shared by all tests."""
    return str(write_tiny_clip(Path(_folders.name) / tower, tower))


@cache
def tiny_backbone(tower: str, **settings: object) -> Backbone:
    """A backbone with one of TOWERS; `settings` are of BackboneRecipe."""
    return load_backbone(BackboneRecipe(model=tiny_folder(tower), **settings))


def write_tiny_clip(
    folder: Path, tower: str, custom_text: bool = False, seed: int = 0, **text: object
) -> Path:
    """Write a model folder for open_clip's `local-dir:`; `text` overrides keys of text_cfg."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {word: i for i, word in enumerate(["<pad>", "<unk>", *WORDS, "<begin>", "<end>"])}
    _write_tokenizer(folder, vocabulary)
    config = {
        "embed_dim": EMBED_DIM,
        "custom_text": custom_text,
        "vision_cfg": TOWERS[tower],
        "text_cfg": {
            "context_length": CONTEXT_LENGTH,
            "vocab_size": len(vocabulary),
            "width": 32,
            "heads": 2,
            "layers": 2,
            "hf_tokenizer_name": "local",
            **text,
        },
    }
    preprocess = {"mean": [0.5] * 3, "std": [0.25] * 3, "interpolation": "bicubic", "resize_mode": "squash"}
    content = {"model_cfg": config, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    torch.manual_seed(seed)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    # As drawn by open_clip a ResNet hardly sees its input: its residual branches are zero, its other layers
    # shrink it.
    for name, value in model.visual.named_parameters():
        if name.endswith("bn3.weight"):
            torch.nn.init.ones_(value)
        elif value.dim() == 4:
            torch.nn.init.kaiming_normal_(value)
        elif name.endswith("positional_embedding"):
            torch.nn.init.normal_(value, std=0.3)
    save_file(model.state_dict(), folder / "model.safetensors")
    return folder


def _write_tokenizer(folder: Path, vocabulary: dict[str, int]) -> None:
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        single="<begin> $A <end>",
        special_tokens=[(token, vocabulary[token]) for token in ("<begin>", "<end>")],
    )
    PreTrainedTokenizerFast(
        tokenizer_object=words, bos_token="<begin>", eos_token="<end>", pad_token="<pad>", unk_token="<unk>"
    ).save_pretrained(folder)
