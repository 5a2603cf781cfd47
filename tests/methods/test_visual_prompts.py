import pytest
import torch

from t2ipal.errors import UserError
from t2ipal.method_settings import PretrainSettings
from t2ipal.methods import visual_prompts
from t2ipal.methods.visual_prompts import VisualPrompts
from tests.methods.given import images, units
from tests.tiny_clip import EMBED_DIM, tiny_backbone
from tests.tuning.tiny_set import tiny_method, tiny_settings


def prompts(space="pixels", tower="resnet", exported=False, **backbone):
    settings = PretrainSettings(space=space)
    return VisualPrompts(
        tiny_backbone(tower, **backbone), 3, settings, torch.Generator().manual_seed(0), exported
    )


def test_training_in_chunks_gives_the_same_gradients(monkeypatch):
    gradients = []
    for chunk in (3, 2):
        monkeypatch.setattr(visual_prompts, "CHUNK", chunk)
        visual = prompts().train()
        features = visual()
        sum((each * units(2, 3)).sum() for each in features).backward()
        gradients.append((visual.whole.grad, visual.local.grad))
    for one, other in zip(*gradients, strict=True):
        assert one.abs().sum() > 0
        torch.testing.assert_close(one, other, atol=1e-6, rtol=0)


def test_positions_of_the_attention_pool_are_a_setting():
    backbone, pixels = tiny_backbone("resnet"), torch.randn(2, 3, 64, 64)
    with_positions, without = (backbone.encode(pixels, each, 2) for each in (True, False))
    assert not torch.allclose(with_positions, without, atol=1e-3)
    torch.testing.assert_close(without, backbone.pixels(pixels).whole)  # as images are encoded


def test_free_vectors_are_their_own_features():
    visual = prompts("features")
    assert visual.whole.shape == visual.local.shape == (3, EMBED_DIM)
    with torch.no_grad():
        visual.whole.mul_(3.0)
    whole, local = visual()
    torch.testing.assert_close(whole, visual.whole / 3, atol=1e-6, rtol=0)
    torch.testing.assert_close(local.norm(dim=-1), torch.ones(3))


def test_pixels_have_the_size_of_the_backbones_input():
    assert prompts().whole.shape == (3, 3, 64, 64)
    assert prompts(image_size=96).whole.shape == (3, 3, 96, 96)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_pixels_do_not_learn_through_a_tower_of_half_precision(dtype):
    with pytest.raises(UserError, match=rf"(?s)whose dtype is {dtype}.*set backbone\.dtype to float32"):
        prompts(dtype=dtype)
    for other in ({"space": "features"}, {"exported": True}):  # nothing goes through the tower
        assert prompts(dtype=dtype, **other).whole.shape == (3, EMBED_DIM)


def test_pseudo_images_are_encoded_once_in_use_and_anew_in_training(monkeypatch):
    method, calls = tiny_method("pvp", tiny_settings(pvp={"pretrain": {"space": "pixels"}})), []
    encode = type(tiny_backbone("resnet")).encode
    monkeypatch.setattr(
        type(tiny_backbone("resnet")), "encode", lambda *given: calls.append(1) or encode(*given)
    )
    method.eval()
    method.scores(images()), method.scores(images())
    assert len(calls) == 2
    assert not method.visual().whole.requires_grad
    method.train()
    assert method.visual().whole.requires_grad
    method.visual()
    assert len(calls) == 6
    before = method.eval().scores(images())
    with torch.no_grad():
        method.visual.whole.mul_(-1.0)
    assert not torch.equal(method.train().eval().scores(images()), before)
