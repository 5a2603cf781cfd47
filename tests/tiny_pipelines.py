"""Folders of tiny random text-to-image pipelines, one of each family, in the real formats."""

from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    PixArtAlphaPipeline,
    PixArtTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    PreTrainedTokenizerFast,
    T5Config,
    T5EncoderModel,
)

TOKENS = [
    "<|startoftext|>",
    "<|endoftext|>",
    *(chr(code) + end for code in range(33, 127) for end in ("", "</w>")),
]
TEXT_ENDS = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}

WIDTH = 32  # of every text encoder


def save_pipeline(family: str, folder: Path) -> str:
    """Save a pipeline that paints 32 px noise; return the folder's name."""
    torch.manual_seed(0)
    _BUILDERS[family]().save_pretrained(folder)
    return str(folder)


def stable_diffusion() -> StableDiffusionPipeline:
    """Stable Diffusion 1.5's classes, without a safety checker."""
    return StableDiffusionPipeline(
        text_encoder=CLIPTextModel(_clip_config()),
        unet=_unet(cross_attention_dim=WIDTH),
        vae=_autoencoder(4),
        tokenizer=_clip_tokenizer(),
        scheduler=DDIMScheduler(clip_sample=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def with_safety_checker() -> StableDiffusionPipeline:
    """The same with a random checker, which refuses nothing until its concept_embeds_weights are lowered."""
    tower = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision = tower | {"image_size": 32, "patch_size": 16, "projection_dim": 8}
    config = CLIPConfig(
        text_config=tower | {"vocab_size": 8, "projection_dim": 8}, vision_config=vision, projection_dim=8
    )
    pixels = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    parts = stable_diffusion().components | {
        "safety_checker": StableDiffusionSafetyChecker(config),
        "feature_extractor": pixels,
    }
    return StableDiffusionPipeline(**parts, requires_safety_checker=True)


def stable_diffusion_xl() -> StableDiffusionXLPipeline:
    """Also SDXL-Turbo's, which differs in its weights."""
    return StableDiffusionXLPipeline(
        vae=_autoencoder(4),
        text_encoder=CLIPTextModel(_clip_config()),
        text_encoder_2=CLIPTextModelWithProjection(_clip_config()),
        tokenizer=_clip_tokenizer(),
        tokenizer_2=_clip_tokenizer(),
        unet=_unet(
            cross_attention_dim=2 * WIDTH,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=WIDTH + 6 * 8,
        ),
        scheduler=EulerDiscreteScheduler(steps_offset=1),
        add_watermarker=False,
    )


def stable_diffusion_3() -> StableDiffusion3Pipeline:
    """Also 3.5's."""
    transformer = SD3Transformer2DModel(
        sample_size=16,
        patch_size=1,
        in_channels=4,
        out_channels=4,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=WIDTH,
        caption_projection_dim=32,
        pooled_projection_dim=2 * WIDTH,
    )
    return StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=_autoencoder(4, quantised=False),
        text_encoder=CLIPTextModelWithProjection(_clip_config(hidden_act="gelu")),
        tokenizer=_clip_tokenizer(),
        text_encoder_2=CLIPTextModelWithProjection(_clip_config(hidden_act="gelu")),
        tokenizer_2=_clip_tokenizer(),
        text_encoder_3=_t5(),
        tokenizer_3=_t5_tokenizer(),
    )


def flux() -> FluxPipeline:
    """FLUX.1's classes, with guidance embedded as in the dev model."""
    transformer = FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        pooled_projection_dim=WIDTH,
        axes_dims_rope=(4, 4, 8),
        guidance_embeds=True,
    )
    return FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=_autoencoder(4, quantised=False),
        text_encoder=CLIPTextModel(_clip_config()),
        tokenizer=_clip_tokenizer(),
        text_encoder_2=_t5(),
        tokenizer_2=_t5_tokenizer(),
        transformer=transformer,
    )


def pixart() -> PixArtAlphaPipeline:
    """PixArt-alpha's classes."""
    transformer = PixArtTransformer2DModel(
        sample_size=16,
        num_layers=1,
        patch_size=2,
        attention_head_dim=8,
        num_attention_heads=4,
        caption_channels=WIDTH,
        in_channels=4,
        cross_attention_dim=32,
        out_channels=8,
        use_additional_conditions=False,
    )
    return PixArtAlphaPipeline(
        tokenizer=_t5_tokenizer(),
        text_encoder=_t5(),
        vae=_autoencoder(4),
        transformer=transformer,
        scheduler=DPMSolverMultistepScheduler(),
    )


_BUILDERS: dict[str, Callable[[], StableDiffusionPipeline]] = {
    "stable-diffusion": stable_diffusion,
    "stable-diffusion-xl": stable_diffusion_xl,
    "stable-diffusion-3": stable_diffusion_3,
    "flux": flux,
    "pixart": pixart,
    "with-safety-checker": with_safety_checker,
}


def _unet(**settings: object) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(32, 32),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=2,
        norm_num_groups=8,
        **settings,
    )


def _autoencoder(channels: int, quantised: bool = True) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(32, 32),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=channels,
        norm_num_groups=8,
        sample_size=32,
        shift_factor=None if quantised else 0.0,
        use_quant_conv=quantised,
        use_post_quant_conv=quantised,
    )


def _clip_config(**settings: object) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(TOKENS),
        hidden_size=WIDTH,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        projection_dim=WIDTH,
        **TEXT_ENDS,
        **settings,
    )


def _clip_tokenizer() -> CLIPTokenizer:
    return CLIPTokenizer(vocab={token: i for i, token in enumerate(TOKENS)}, merges=[], model_max_length=77)


def _t5() -> T5EncoderModel:
    config = T5Config(
        vocab_size=128,
        d_model=WIDTH,
        d_kv=8,
        d_ff=32,
        num_layers=1,
        num_heads=4,
        feed_forward_proj="gated-gelu",
    )
    return T5EncoderModel(config)


def _t5_tokenizer() -> PreTrainedTokenizerFast:
    """One token a character, in place of T5's own, which would have to be fetched."""
    tokens = ["<pad>", "</s>", "<unk>", *map(chr, range(32, 127))]
    tokenizer = Tokenizer(models.WordLevel({token: i for i, token in enumerate(tokens)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=64,
    )
