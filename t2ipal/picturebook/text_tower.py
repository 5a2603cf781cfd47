"""The text tower of an open_clip model as a transformers CLIPTextModel, as diffusion pipelines load it."""

from typing import Any

import torch
from open_clip.model import CLIP
from transformers import CLIPTextConfig, CLIPTextModel

_BLOCK = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}


def text_tower(clip: CLIP, text_cfg: dict[str, Any]) -> CLIPTextModel:
    """A frozen copy with the same token features [B, L, W] (after the last layer norm, not projected)."""
    config = CLIPTextConfig(
        vocab_size=text_cfg["vocab_size"],
        hidden_size=text_cfg["width"],
        intermediate_size=4 * text_cfg["width"],
        num_hidden_layers=text_cfg["layers"],
        num_attention_heads=text_cfg["heads"],
        max_position_embeddings=text_cfg["context_length"],
        hidden_act="gelu",
        bos_token_id=text_cfg["vocab_size"] - 2,
        eos_token_id=text_cfg["vocab_size"] - 1,
        pad_token_id=0,
    )
    tower = CLIPTextModel(config)
    missing, unexpected = tower.load_state_dict(_renamed(clip, tower), strict=False)
    if unexpected or any("position_ids" not in name for name in missing):
        raise ValueError(f"text tower does not fit: missing {missing}, unexpected {unexpected}")
    return tower.eval().requires_grad_(False)


def _renamed(clip: CLIP, tower: CLIPTextModel) -> dict[str, torch.Tensor]:
    # Older transformers nest the model under "text_model."; follow whichever naming is installed.
    root = "text_model." if any(name.startswith("text_model.") for name in tower.state_dict()) else ""
    state = {
        f"{root}embeddings.token_embedding.weight": clip.token_embedding.weight,
        f"{root}embeddings.position_embedding.weight": clip.positional_embedding,
        f"{root}final_layer_norm.weight": clip.ln_final.weight,
        f"{root}final_layer_norm.bias": clip.ln_final.bias,
    }
    for name, value in clip.transformer.resblocks.state_dict().items():
        layer, _, part = name.partition(".")
        block = f"{root}encoder.layers.{layer}"
        if part.startswith("attn.in_proj"):
            kind = part.removeprefix("attn.in_proj_")
            for which, third in zip("qkv", value.chunk(3), strict=True):
                state[f"{block}.self_attn.{which}_proj.{kind}"] = third
        else:
            stem, _, kind = part.rpartition(".")
            state[f"{block}.{_BLOCK[stem]}.{kind}"] = value
    return {name: value.detach().clone().float() for name, value in state.items()}
