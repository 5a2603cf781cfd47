"""The painter's autoencoder: exact, because 32 x 32 pixels are few enough to be denoised as they are.

A Stable Diffusion pipeline wants an autoencoder. This one is diffusers' AutoencoderTiny without any
downsampling, with weights that are written down instead of learned: its latents are the pixels.
"""

import torch
from diffusers import AutoencoderTiny
from torch import Tensor

_SHRINK = 0.05  # AutoencoderTiny squashes latents by 3 tanh(z / 3), which leaves values this small alone
SPREAD = 1.6  # brings the pixels of web scenes, from -1 to 1, near unit deviation


def pixel_autoencoder() -> AutoencoderTiny:
    """Latents of [B, 3, H, W] images from -1 to 1 are the images times `SPREAD`, once scaled as the pipeline does."""
    model = AutoencoderTiny(
        latent_channels=3,
        encoder_block_out_channels=(6,),
        decoder_block_out_channels=(6,),
        num_encoder_blocks=(0,),
        num_decoder_blocks=(0,),
        scaling_factor=SPREAD / _SHRINK,
    )
    for parameter in model.parameters():
        parameter.data.zero_()
    first, last = model.encoder.layers[0], model.encoder.layers[-1]
    opened, closed = model.decoder.layers[0], model.decoder.layers[-1]
    eye = torch.eye(3)
    first.weight.data[:3, :, 1, 1] = eye
    last.weight.data[:, :3, 1, 1] = eye * 2 * _SHRINK  # the encoder sees pixels from 0 to 1
    last.bias.data.fill_(-_SHRINK)
    # The decoder's ReLU keeps the positive and the negative half in channels of their own.
    opened.weight.data[:, :, 1, 1] = torch.cat([eye, -eye])
    closed.weight.data[:, :, 1, 1] = torch.cat([eye, -eye], 1) / (2 * _SHRINK)
    closed.bias.data.fill_(0.5)
    return model.eval().requires_grad_(False)


def to_latents(images: Tensor) -> Tensor:
    """[B, 32, 32, 3] uint8 images to latents [B, 3, 32, 32] as the denoiser sees them."""
    return (images.permute(0, 3, 1, 2).float() / 127.5 - 1) * SPREAD
