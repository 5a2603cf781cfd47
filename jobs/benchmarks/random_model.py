"""A language model of a real one's size with random weights and the tokenizer of the drawn world.

    uv run python -m jobs.benchmarks.random_model FOLDER

Its layers are those of Qwen2.5-0.5B. A recipe names the folder as `captions.model` and sets `load_format:
dummy` in `captions.engine`: vLLM then draws the weights, and nothing of their size is on the disk. What it
writes is noise, of `max_tokens` tokens, so that it costs what such a model costs.
"""

import json
import shutil
import sys
from pathlib import Path

from t2ipal.picturebook.weights import resolve

LAYERS = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "rope_theta": 1000000.0,
    "tie_word_embeddings": True,
    "use_sliding_window": False,
}
# A tokenizer has no text for the tokens that a larger vocabulary would add, so these are the writer's.
KEPT = ("vocab_size", "bos_token_id", "eos_token_id", "pad_token_id", "max_position_embeddings", "dtype")


def save_random_model(folder: Path) -> None:
    """Write the model's configuration, tokenizer and chat template."""
    writer = Path(resolve("picturebook:writer"))
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(writer / name, folder)
    config = json.loads((writer / "config.json").read_text())
    kept = {name: config[name] for name in KEPT}
    (folder / "config.json").write_text(json.dumps(LAYERS | kept, indent=2) + "\n")


if __name__ == "__main__":
    save_random_model(Path(sys.argv[1]))
