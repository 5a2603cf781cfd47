"""The weights in the repository: they load, they are small, and they fit together."""

import json
from pathlib import Path

import open_clip
import pytest
import torch
from diffusers import AutoPipelineForText2Image
from open_clip.model import CLIP

from t2ipal.captions.accept import first_accepted
from t2ipal.errors import UserError
from t2ipal.picturebook import train_clip, weights
from t2ipal.picturebook.classes import NAMES
from t2ipal.picturebook.text_tower import text_tower
from t2ipal.picturebook.tokenizer import CLIP_CONTEXT, clip_tokenizer
from t2ipal.picturebook.writing import write
from t2ipal.recipe import load_recipe
from t2ipal.vocabulary import Vocabulary

RECIPE = load_recipe(Path(__file__).parents[2] / "jobs" / "recipes" / "offline.yaml")


def test_the_weights_are_small():
    sizes = [path.stat().st_size for path in weights.FOLDER.rglob("*") if path.is_file()]
    assert sum(sizes) < 25e6


def test_resolve():
    assert weights.resolve("RN50") == "RN50"
    assert Path(weights.resolve("picturebook:clip"), "open_clip_config.json").is_file()
    with pytest.raises(UserError, match="no model 'singer'"):
        weights.resolve("picturebook:singer")


def test_the_text_tower_gives_open_clips_token_features():
    torch.manual_seed(0)
    config = train_clip.config()["model_cfg"]
    clip = CLIP(**config).eval()
    tower = text_tower(clip, config["text_cfg"])
    ids = torch.tensor(
        clip_tokenizer()(["a red fish", "the moon and a cat"], padding="max_length", max_length=CLIP_CONTEXT)[
            "input_ids"
        ]
    )
    with torch.no_grad():
        hidden = clip.transformer(
            clip.token_embedding(ids) + clip.positional_embedding, attn_mask=clip.attn_mask
        )
        assert torch.allclose(tower(ids).last_hidden_state, clip.ln_final(hidden), atol=1e-5)
    assert not any(parameter.requires_grad for parameter in tower.parameters())


def test_the_writer_mostly_names_what_is_asked():
    asked = [[first, (first + 5) % len(NAMES)] for first in range(len(NAMES))]
    answers = write(
        weights.resolve(RECIPE.captions.model), RECIPE.captions, [[NAMES[i] for i in each] for each in asked]
    )
    known = Vocabulary.load("picturebook")
    named = [first_accepted([text], labels, known) for text, labels in zip(answers, asked, strict=True)]
    assert sum(each is not None for each in named) >= 12


def test_the_clip_sees_a_difference_between_classes():
    model = open_clip.create_model(f"local-dir:{weights.resolve('picturebook:clip')}")
    config = json.loads(Path(weights.resolve("picturebook:clip"), "open_clip_config.json").read_text())
    assert config == train_clip.config()
    tokenizer = open_clip.get_tokenizer(f"local-dir:{weights.resolve('picturebook:clip')}")
    with torch.no_grad():
        text = model.float().encode_text(
            tokenizer([f"a photo of a {name}" for name in NAMES]), normalize=True
        )
    assert (text @ text.T - torch.eye(len(NAMES))).max() < 0.95


def test_the_painter_is_a_text_to_image_pipeline():
    pipeline = AutoPipelineForText2Image.from_pretrained(
        weights.resolve("picturebook:painter"), dtype=torch.float32
    )
    pipeline.set_progress_bar_config(disable=True)
    images = pipeline(
        ["a red fish", "a house"], num_inference_steps=2, height=32, width=32, output_type="np"
    ).images
    assert images.shape == (2, 32, 32, 3)
