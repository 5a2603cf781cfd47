"""The writer asked directly, without vLLM: for measuring it in a second."""

from collections.abc import Sequence

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from t2ipal.captions.prompt import chat_messages
from t2ipal.captions_recipe import CaptionsRecipe


@torch.inference_mode()
def write(folder: str, recipe: CaptionsRecipe, requests: Sequence[Sequence[str]]) -> list[str]:
    """One caption for each list of class names, sampled at the recipe's temperature from seed 0."""
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    chats = [chat_messages(recipe.prompt, names) for names in requests]
    texts = [
        tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) for chat in chats
    ]
    asked = tokenizer(texts, return_tensors="pt", padding=True, return_token_type_ids=False)
    answers = model.generate(
        **asked, max_new_tokens=recipe.max_tokens, do_sample=True, temperature=recipe.temperature, top_k=0
    )
    written: list[str] = tokenizer.batch_decode(
        answers[:, asked["input_ids"].shape[1] :], skip_special_tokens=True
    )
    return written
