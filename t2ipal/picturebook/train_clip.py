"""Trains the picture world's CLIP: open_clip's ModifiedResNet and text tower, on web scenes and captions.

Two are trained. The recognizer's stops after a quarter of the course, when it is as imperfect on photos as
real CLIP is; trained to the end it would leave nothing to tune (92 mAP zero-shot). The painter reads captions
through the text tower of the other, which goes all the way.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import open_clip
import torch
import torch.nn.functional as F
from open_clip.model import CLIP
from safetensors.torch import save_file
from torch import Tensor, nn

from t2ipal.picturebook.drawn import Drawn, drawn
from t2ipal.picturebook.fit import Loss, Progress, Schedule, device, fit
from t2ipal.picturebook.tokenizer import CLIP_CONTEXT, clip_tokenizer

SCENES = 100_000
SIDE = 96
LONG = Schedule(steps=1600, batch=128, lr=1e-3, weight_decay=0.08, warmup=100, save_every=200)
SHORT = replace(LONG, stop=400)
MEAN, STD = 0.5, 0.25


def config() -> dict[str, Any]:
    """open_clip_config.json of the model folder."""
    model = {
        "embed_dim": 128,
        "vision_cfg": {"image_size": SIDE, "layers": [1, 1, 1, 1], "width": 16, "patch_size": None},
        "text_cfg": {
            "context_length": CLIP_CONTEXT,
            "vocab_size": len(clip_tokenizer()),
            "hf_tokenizer_name": "picturebook",
            "width": 128,
            "heads": 4,
            "layers": 3,
        },
    }
    preprocess = {"mean": [MEAN] * 3, "std": [STD] * 3, "interpolation": "bicubic", "resize_mode": "squash"}
    return {"model_cfg": model, "preprocess_cfg": preprocess}


def train(name: str, schedule: Schedule, work: Path) -> tuple[CLIP, Progress]:
    """Contrastive training, with the words of the caption as an auxiliary target that fades out."""
    torch.manual_seed(0)
    model = CLIP(**config()["model_cfg"]).to(device(), memory_format=torch.channels_last)
    words = nn.Linear(128, len(clip_tokenizer())).to(device())
    learner = nn.ModuleDict({"clip": model, "words": words})
    _, progress = fit(name, learner, _loss(model, words, drawn("web", "train", SCENES, work)), schedule, work)
    return model, progress


def _loss(clip: CLIP, words: nn.Linear, data: Drawn) -> Loss:
    tokens = torch.tensor(
        clip_tokenizer()(list(data.captions), padding="max_length", max_length=CLIP_CONTEXT)["input_ids"]
    )
    targets = _word_targets(tokens, len(clip_tokenizer()))

    def loss(generator: torch.Generator, done: float) -> Tensor:
        rows = torch.randint(len(data), (LONG.batch,), generator=generator)
        pixels = augment(torch.from_numpy(data.images[rows.numpy()]), generator)
        image = clip.encode_image(pixels.to(device(), memory_format=torch.channels_last), normalize=True)
        text = clip.encode_text(tokens[rows].to(device()), normalize=True)
        logits = clip.logit_scale.clamp(max=4.6).exp() * image.float() @ text.float().T
        own = torch.arange(len(rows), device=logits.device)
        contrast = (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
        naming = F.cross_entropy(words(16 * image).float(), targets[rows].to(device()))
        return contrast + max(0.0, 1 - 2 * done) * naming

    return loss


def _word_targets(tokens: Tensor, vocabulary: int) -> Tensor:
    """[N, V]: the words of each caption, weighted by inverse document frequency, rows summing to 1."""
    present = torch.zeros(len(tokens), vocabulary).scatter_(1, tokens, 1.0)
    frequency = present.mean(0).clamp(min=1 / len(tokens))
    weighted = present * -frequency.log()
    weighted[:, 0] = 0  # padding
    return weighted / weighted.sum(1, keepdim=True).clamp(min=1e-6)


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """[B, 32, 32, 3] uint8 to normalised [B, 3, 96, 96]: zoomed out, shifted, mirrored, with noise."""
    count = len(images)
    pixels = images.permute(0, 3, 1, 2).float() / 255
    zoom = 1 + 0.5 * torch.rand(count, generator=generator)
    mirror = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    shift = (2 * torch.rand(count, 2, generator=generator) - 1) * (zoom - 1)[:, None]
    zeros = torch.zeros(count)
    rows = [torch.stack([zoom * mirror, zeros, shift[:, 0]], 1), torch.stack([zeros, zoom, shift[:, 1]], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), [count, 3, SIDE, SIDE], align_corners=False)
    enlarged = F.grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)
    noise = (
        torch.randn(pixels.shape, generator=generator)
        * 0.04
        * torch.rand(count, 1, 1, 1, generator=generator)
    )
    return (enlarged + F.interpolate(noise, size=SIDE, mode="bilinear") - MEAN) / STD


def save(model: CLIP, folder: Path) -> None:
    """An open_clip `local-dir:` folder: config, fp16 weights, tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: value.half().cpu().contiguous() for name, value in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps(config(), indent=2) + "\n")
    clip_tokenizer().save_pretrained(folder)
    open_clip.create_model(
        f"local-dir:{folder}"
    )  # a folder that cannot be loaded must not be left behind as good
