"""Folders of tiny random models in the real formats, for tests that need an engine but no skill."""

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tests.tiny_pipelines import save_pipeline

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
