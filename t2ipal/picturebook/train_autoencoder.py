"""Trains the painter's autoencoder, 32 x 32 pixels to 8 x 8 latents: the denoiser composes, this draws.

Learning to draw a shape from its latents is plain regression and takes minutes; what is left to the denoiser,
which learns slowly, is which shapes and where.
"""

from pathlib import Path

import torch
from diffusers import AutoencoderTiny
from torch import Tensor

from t2ipal.picturebook.drawn import Drawn, drawn
from t2ipal.picturebook.fit import Loss, Progress, Schedule, device, fit

SCENES = 100_000
CHANNELS = 8
WIDTH = 48
SCHEDULE = Schedule(steps=4000, batch=32, lr=2e-3, weight_decay=0.0, warmup=100, save_every=500)
NOISE = 0.1  # deviation of the noise that the decoder learns to bear: a denoiser's latents are never exact


def train(work: Path) -> tuple[AutoencoderTiny, Progress]:
    """Reconstruction through noisy latents that are kept near zero mean and unit deviation, per channel."""
    torch.manual_seed(0)
    model = AutoencoderTiny(
        latent_channels=CHANNELS,
        encoder_block_out_channels=(WIDTH,) * 3,
        decoder_block_out_channels=(WIDTH,) * 3,
        num_encoder_blocks=(0, 1, 2),
        num_decoder_blocks=(2, 1, 0),
    ).to(device(), memory_format=torch.channels_last)
    _, progress = fit("autoencoder", model, _loss(model, drawn("web", "train", SCENES, work)), SCHEDULE, work)
    return model.eval().requires_grad_(False), progress


def _loss(model: AutoencoderTiny, data: Drawn) -> Loss:
    def loss(generator: torch.Generator, done: float) -> Tensor:
        rows = torch.randint(len(data), (SCHEDULE.batch,), generator=generator)
        pixels = to_pixels(torch.from_numpy(data.images[rows.numpy()]))
        latents = model.encode(pixels).latents.float()
        centred = latents.mean((0, 2, 3)).square().mean() + (latents.std((0, 2, 3)) - 1).square().mean()
        noise = NOISE * torch.randn(latents.shape, generator=generator).to(latents.device)
        error = model.decode(latents + noise).sample.float() - pixels
        total: Tensor = error.square().mean() + 0.1 * error.abs().mean() + 0.01 * centred
        return total

    return loss


def to_pixels(images: Tensor) -> Tensor:
    """[B, 32, 32, 3] uint8 images to [B, 3, 32, 32] from -1 to 1 on the training device."""
    pixels = images.permute(0, 3, 1, 2).to(device(), torch.float32) / 127.5 - 1
    return pixels.contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def encode(model: AutoencoderTiny, images: Tensor) -> Tensor:
    """Latents [N, C, 8, 8] float16, on the CPU, of [N, 32, 32, 3] uint8 images."""
    with torch.autocast(device().type, torch.bfloat16):
        parts = [model.encode(to_pixels(part)).latents for part in images.split(500)]
    return torch.cat([part.half().cpu() for part in parts])
