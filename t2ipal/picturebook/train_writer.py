"""Trains the picture world's writer: a tiny Llama that answers a request for some classes with a caption."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from t2ipal.picturebook.fit import Loss, Progress, Schedule, device, fit
from t2ipal.picturebook.tokenizer import writer_tokenizer
from t2ipal.picturebook.wording import request_and_caption

PAIRS = 60_000
SCHEDULE = Schedule(steps=2400, batch=64, lr=2e-3, weight_decay=0.05, warmup=100, save_every=250)
IGNORED = -100


def train(work: Path) -> tuple[LlamaForCausalLM, Progress]:
    """Next-word prediction on the caption alone."""
    torch.manual_seed(0)
    tokenizer = writer_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=128,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
    )
    model = LlamaForCausalLM(config).to(device())
    _, progress = fit("writer", model, _loss(model), SCHEDULE, work)
    return model, progress


def save(model: LlamaForCausalLM, folder: Path) -> None:
    """A transformers folder: fp16 weights, tokenizer, chat template."""
    model.half().save_pretrained(folder)
    writer_tokenizer().save_pretrained(folder)


def _loss(model: LlamaForCausalLM) -> Loss:
    tokens, targets = _encoded(PAIRS)

    def loss(generator: torch.Generator, done: float) -> Tensor:
        rows = torch.randint(len(tokens), (SCHEDULE.batch,), generator=generator)
        logits = model(tokens[rows].to(device())).logits[:, :-1].float()
        return F.cross_entropy(
            logits.flatten(0, 1), targets[rows, 1:].flatten().to(device()), ignore_index=IGNORED
        )

    return loss


def _encoded(count: int) -> tuple[Tensor, Tensor]:
    """Token ids [N, L], and the same with everything but the caption and its end ignored."""
    tokenizer = writer_tokenizer()
    rng = np.random.default_rng([7, count])
    rows, starts = [], []
    for _, request, caption in (request_and_caption(rng) for _ in range(count)):
        chat = [{"role": "user", "content": request}]
        opening = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        asked = tokenizer(opening)["input_ids"]
        rows.append(asked + tokenizer(caption)["input_ids"] + [tokenizer.eos_token_id])
        starts.append(len(asked))
    width = max(map(len, rows))
    tokens = torch.full((count, width), tokenizer.pad_token_id)
    targets = torch.full((count, width), IGNORED)
    for i, (row, start) in enumerate(zip(rows, starts, strict=True)):
        tokens[i, : len(row)] = torch.tensor(row)
        targets[i, start : len(row)] = torch.tensor(row[start:])
    return tokens, targets
