"""Folders of tiny random models in the real formats, for tests that need an engine but no skill."""

from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPTextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from tests.tiny_pipelines import TEXT_ENDS, save_pipeline, stable_diffusion

CHAT_TEMPLATE = "<s> {{ messages[0]['content'] }}"


def word_tokenizer(words: Sequence[str], **settings: object) -> PreTrainedTokenizerFast:
    """Return a tokenizer with one token a word."""
    tokens = ["<unk>", "<s>", "</s>", *words]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(tokens)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="</s>",
        **settings,
    )


def save_writer(folder: Path, words: Sequence[str]) -> None:
    """Save a LlamaForCausalLM that says random words."""
    torch.manual_seed(0)
    tokenizer = word_tokenizer(words, chat_template=CHAT_TEMPLATE)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=128,
        bos_token_id=1,
        eos_token_id=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def save_painter(folder: Path) -> None:
    """Save a StableDiffusionPipeline that paints 32 px noise, of a different colour for each caption."""
    save_pipeline("stable-diffusion", folder)


def save_full_size_painter(folder: Path) -> int:
    """Save a pipeline of Stable Diffusion 1.5's sizes in bfloat16; return its number of parameters."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    text = CLIPTextConfig(
        vocab_size=49408,
        hidden_size=768,
        intermediate_size=3072,
        num_hidden_layers=12,
        num_attention_heads=12,
        **TEXT_ENDS,
    )
    unet = UNet2DConditionModel(
        sample_size=64,
        block_out_channels=(320, 640, 1280, 1280),
        layers_per_block=2,
        cross_attention_dim=768,
        attention_head_dim=8,
    )
    vae = AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        latent_channels=4,
    )
    pipeline = stable_diffusion(text, unet, vae)
    pipeline.save_pretrained(folder)
    parts = (pipeline.vae, pipeline.text_encoder, pipeline.unet)
    return sum(parameter.numel() for part in parts for parameter in part.parameters())
