"""A pipeline of Stable Diffusion 1.5's size with random weights and the tokenizer of the drawn world.

    uv run python -m jobs.benchmarks.random_painter FOLDER

What it paints is noise of 512 pixels, and costs what such a model costs. It takes 2.1 GB of the disk, in
bfloat16; a recipe's `dtype` says what it computes in.
"""

import sys
from pathlib import Path

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from t2ipal.picturebook.weights import resolve

PLACES = 77  # of a prompt
SEED = 0


def save_random_painter(folder: Path) -> int:
    """Write the pipeline; return its number of parameters."""
    small = StableDiffusionPipeline.from_pretrained(resolve("picturebook:painter"))
    small.tokenizer.model_max_length = PLACES
    torch.manual_seed(SEED)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        models = {"text_encoder": _text_encoder(small.text_encoder.config), "unet": _unet(), "vae": _vae()}
    finally:
        torch.set_default_dtype(before)
    kept = {"tokenizer": small.tokenizer, "scheduler": small.scheduler}
    without = {"safety_checker": None, "feature_extractor": None}
    StableDiffusionPipeline(**kept, **models, **without, requires_safety_checker=False).save_pretrained(
        folder
    )
    return sum(p.numel() for model in models.values() for p in model.parameters())


def _text_encoder(small: CLIPTextConfig) -> CLIPTextModel:
    ends = {name: getattr(small, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=49408,
            hidden_size=768,
            intermediate_size=3072,
            num_hidden_layers=12,
            num_attention_heads=12,
            max_position_embeddings=PLACES,
            **ends,
        )
    )


def _unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=64,
        block_out_channels=(320, 640, 1280, 1280),
        layers_per_block=2,
        cross_attention_dim=768,
        attention_head_dim=8,
    )


def _vae() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        latent_channels=4,
    )


if __name__ == "__main__":
    print(f"{save_random_painter(Path(sys.argv[1])) / 1e6:.0f} M parameters")
