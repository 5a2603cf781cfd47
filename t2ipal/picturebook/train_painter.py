"""Trains the picture world's painter: a latent diffusion UNet that paints what a caption names.

It learns from web scenes with captions that name every object (re-captioned data), through the token
features of the frozen CLIP text tower: in cross attention, and pooled into the time embedding.
Single objects come first, scenes later.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from open_clip.model import CLIP
from torch import Tensor

from t2ipal.picturebook import train_autoencoder, train_clip
from t2ipal.picturebook.drawn import Drawn, drawn
from t2ipal.picturebook.fit import Loss, Progress, Schedule, device, fit
from t2ipal.picturebook.text_tower import text_tower
from t2ipal.picturebook.tokenizer import CLIP_CONTEXT, clip_tokenizer

SCENES = 100_000
SCHEDULE = Schedule(
    steps=9200,
    batch=32,
    lr=1e-3,
    weight_decay=0.01,
    betas=(0.9, 0.99),
    warmup=300,
    ema=0.999,
    save_every=250,
)
UNCONDITIONED = 0.1  # share of empty captions, for classifier-free guidance
MIN_SNR = 5.0  # "Efficient Diffusion Training via Min-SNR Weighting" (arXiv 2303.09556), gamma


def unet() -> UNet2DConditionModel:
    """The denoiser of 8 x 8 latents: text by cross attention at 4 x 4 and pooled into the time embedding."""
    width = train_clip.config()["model_cfg"]["text_cfg"]["width"]
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=train_autoencoder.CHANNELS,
        out_channels=train_autoencoder.CHANNELS,
        block_out_channels=(96, 160),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=width,
        attention_head_dim=4,  # the number of heads, whatever its name says
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
        norm_num_groups=16,
    )


def scheduler() -> DDIMScheduler:
    """Cosine noise schedule with velocity prediction."""
    return DDIMScheduler(
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,  # without effect at this spacing; diffusers warns of anything else
        timestep_spacing="trailing",
    )


def untrained(clip: CLIP, autoencoder: AutoencoderTiny) -> StableDiffusionPipeline:
    """A pipeline that reads through the CLIP's text tower, with a UNet that knows nothing yet."""
    torch.manual_seed(0)
    tower = text_tower(clip.cpu(), train_clip.config()["model_cfg"]["text_cfg"])
    return pipeline(autoencoder, tower, unet())


def train(
    painter: StableDiffusionPipeline, work: Path, name: str = "painter"
) -> tuple[StableDiffusionPipeline, Progress]:
    """The pipeline with its UNet trained (the average of its last states), and what that took.

    Courses of different names have their own checkpoints, and see the scenes in another order.
    """
    model = painter.unet.to(device(), memory_format=torch.channels_last)
    autoencoder, tower = painter.vae.to(device()), painter.text_encoder.to(device())
    data = drawn("web", "train", SCENES, work)
    loss = _loss(model, _latents(autoencoder, data), data, _conditioner(tower, data))
    averaged, progress = fit(name, model, loss, SCHEDULE, work)
    return pipeline(autoencoder, tower, averaged), progress


def pipeline(
    autoencoder: AutoencoderTiny, tower: torch.nn.Module, model: torch.nn.Module
) -> StableDiffusionPipeline:
    """The parts as the pipeline that `from_pretrained` loads."""
    return StableDiffusionPipeline(
        vae=autoencoder.to("cpu"),
        text_encoder=tower.to("cpu"),
        tokenizer=clip_tokenizer(),
        unet=model.to("cpu"),
        scheduler=scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def save(painter: StableDiffusionPipeline, folder: Path) -> None:
    """fp16 safetensors in the layout of a Stable Diffusion folder."""
    painter.to(torch.float16).save_pretrained(folder)
    StableDiffusionPipeline.from_pretrained(
        folder
    )  # a folder that cannot be loaded must not pass for a good one


def _latents(autoencoder: AutoencoderTiny, data: Drawn) -> Tensor:
    """[2N, C, 8, 8]: every scene, then every scene mirrored."""
    images = torch.from_numpy(np.array(data.images))
    return torch.cat([train_autoencoder.encode(autoencoder, each) for each in (images, images.flip(2))])


def _conditioner(tower: torch.nn.Module, data: Drawn) -> Callable[[Tensor, Tensor], Tensor]:
    """Token features [B, L, W] of the scenes' full captions; of the empty caption where `empty` says so."""
    texts = [*data.full_captions, ""]
    tokens = torch.tensor(clip_tokenizer()(texts, padding="max_length", max_length=CLIP_CONTEXT)["input_ids"])

    @torch.no_grad()
    def condition(rows: Tensor, empty: Tensor) -> Tensor:
        ids = tokens[torch.where(empty, len(tokens) - 1, rows)].to(device())
        features: Tensor = tower(ids).last_hidden_state
        return features

    return condition


def _loss(
    model: torch.nn.Module, latents: Tensor, data: Drawn, condition: Callable[[Tensor, Tensor], Tensor]
) -> Loss:
    noising = scheduler()
    signal = noising.alphas_cumprod
    counts = torch.from_numpy(data.labels.sum(1))
    single, several = (counts == 1).nonzero()[:, 0], (counts > 1).nonzero()[:, 0]

    def loss(generator: torch.Generator, done: float) -> Tensor:
        alone = torch.rand(SCHEDULE.batch, generator=generator) < max(0.3, 1 - 1.5 * done)
        rows = torch.where(
            alone,
            single[torch.randint(len(single), alone.shape, generator=generator)],
            several[torch.randint(len(several), alone.shape, generator=generator)],
        )
        mirrored = torch.randint(2, rows.shape, generator=generator) * len(data)
        clean = latents[rows + mirrored].float().to(device())
        noise = torch.randn(clean.shape, generator=generator).to(device())
        times = torch.randint(len(signal), rows.shape, generator=generator)
        noisy = noising.add_noise(clean, noise, times).contiguous(memory_format=torch.channels_last)
        empty = torch.rand(rows.shape, generator=generator) < UNCONDITIONED
        predicted = model(noisy, times.to(device()), condition(rows, empty)).sample.float()
        wanted = noising.get_velocity(clean, noise, times)
        ratio = (signal / (1 - signal))[times].to(device())
        weight = ratio.clamp(max=MIN_SNR) / (ratio + 1)
        total: Tensor = (weight * (predicted - wanted).square().mean((1, 2, 3))).mean()
        return total

    return loss
