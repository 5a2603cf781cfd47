import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from t2ipal.clip import load_backbone
from t2ipal.clip.backbone import check_name
from t2ipal.errors import UserError
from t2ipal.recipe import BackboneRecipe, load_recipe
from tests.tiny_clip import EMBED_DIM, TOWERS, tiny_backbone, write_tiny_clip

ROOT = Path(__file__).parents[2]


def noise(width, height):
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_images_of_any_size_and_mode_become_one_batch():
    features = tiny_backbone("resnet").images([noise(32, 32), noise(100, 40), noise(40, 90).convert("L")])
    assert features.whole.shape == (3, EMBED_DIM)
    assert features.grid == (2, 2)


def test_image_size_sets_the_grid():
    assert tiny_backbone("vit", image_size=128).images([noise(32, 32)]).grid == (8, 8)


@pytest.mark.parametrize("tower", TOWERS)
def test_half_precision_stays_close_and_leaves_text_alone(tower):
    full, half = tiny_backbone(tower), tiny_backbone(tower, dtype="bfloat16")
    a, b = (backbone.images([noise(64, 64)]).whole for backbone in (full, half))
    assert a.dtype == b.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(a, b).item() > 0.99
    assert torch.equal(full.sentences(["fish"]).whole, half.sentences(["fish"]).whole)


def test_a_backbone_is_frozen_and_in_evaluation_mode():
    model = tiny_backbone("resnet")._model
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_random_weights_are_given_only_when_asked_for():
    with pytest.raises(UserError, match=r"(?s)without weights.*openai"):
        load_backbone(BackboneRecipe(model="RN50"))


@pytest.mark.parametrize(
    ("model", "tag", "remedy"),
    [
        ("RN50", "openai", "set backbone.model to RN50-quickgelu"),
        ("ViT-B/16", "openai", "set backbone.model to ViT-B-16-quickgelu"),
        ("roberta-ViT-B-32", "laion2b_s12b_b32k", "choose other weights"),
    ],
)
def test_weights_of_another_activation_are_refused(model, tag, remedy):
    with pytest.raises(UserError, match=f"(?s)QuickGELU.*{remedy}"):
        load_backbone(BackboneRecipe(model=model, pretrained=tag))


@pytest.mark.parametrize("name", ["offline", "coco2014"])
def test_shipped_recipes_name_weights_that_fit(name):
    backbone = load_recipe(ROOT / "jobs" / "recipes" / f"{name}.yaml").backbone
    if backbone.pretrained:
        check_name(backbone)


@pytest.mark.parametrize("model", ["/nowhere/clip", "./nowhere"])
def test_an_unknown_model_is_reported(model):
    with pytest.raises(UserError, match=f"cannot load the backbone '{model}'"):
        load_backbone(BackboneRecipe(model=model, pretrained="openai"))


@pytest.mark.parametrize(
    ("model", "pretrained", "problem"),
    [
        ("RN50", "openaii", r"backbone\.pretrained: .*'openaii' of RN50\n.*openai, yfcc15m"),
        ("RN51", "openai", r"backbone\.model: .*'RN51'\n.*did you mean .*RN50"),
        ("RN50", None, r"without weights"),
    ],
)
def test_a_name_that_open_clip_does_not_know_is_refused_without_loading(model, pretrained, problem):
    with pytest.raises(UserError, match=problem):
        check_name(BackboneRecipe(model=model, pretrained=pretrained))


@pytest.mark.parametrize(
    ("model", "pretrained"),
    [
        ("RN50-quickgelu", "openai"),
        ("ViT-B/32", "laion2b-s34b-b79k"),  # as open_clip also reads them
        ("hf-hub:someone/clip", None),
        ("picturebook:clip", None),
        ("/anywhere/clip", None),
        ("RN50", __file__),  # a file of weights
    ],
)
def test_a_name_that_may_be_loaded_is_accepted(model, pretrained):
    check_name(BackboneRecipe(model=model, pretrained=pretrained))


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def drop(path):
    path.unlink()


def garble(path):
    path.write_text("{")


def shrink(path):
    config = json.loads(path.read_text())
    config["model_cfg"]["embed_dim"] = 8
    path.write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("model.safetensors", cut),
        ("model.safetensors", drop),
        ("open_clip_config.json", drop),
        ("open_clip_config.json", garble),
        ("open_clip_config.json", shrink),
        ("tokenizer.json", drop),
    ],
)
def test_a_damaged_folder_is_reported(tmp_path, name, damage):
    folder = write_tiny_clip(tmp_path / "clip", "resnet")
    damage(folder / name)
    with pytest.raises(UserError, match="cannot load the backbone"):
        load_backbone(BackboneRecipe(model=str(folder)))
