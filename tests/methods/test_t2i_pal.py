import pytest
import torch
from torch.nn import functional

from t2ipal.methods import Captions, Images, T2IPal
from t2ipal.recipe import TuneRecipe
from tests.fake_gpu import backbone_on_gpu, to_gpu
from tests.tiny_clip import EMBED_DIM, tiny_backbone

NAMES = ["fish", "teddy bear", "house"]
ALL = {"global_context", "local_context", "adapter.down", "adapter.up", "prototypes"}


def method(seed=0, **settings):
    return T2IPal(tiny_backbone("resnet"), NAMES, TuneRecipe(context=4, **settings), seed)


def images(count=5):
    generator = torch.Generator().manual_seed(3)
    whole, patches = (
        torch.randn(count, EMBED_DIM, generator=generator),
        torch.randn(count, 4, EMBED_DIM, generator=generator),
    )
    return Images(functional.normalize(whole, dim=-1), functional.normalize(patches, dim=-1))


def captions():
    features = tiny_backbone("resnet").sentences(["a fish", "a blue house and a tree", "a", "house", "fish"])
    return Captions(*features)


@pytest.mark.parametrize(
    ("settings", "absent"),
    [
        ({}, set()),
        ({"adapter": False}, {"adapter.down", "adapter.up"}),
        ({"prototypes": False}, {"prototypes"}),
        (
            {"adapter": False, "prototypes": False, "caption_branch": False},
            ALL - {"global_context", "local_context"},
        ),
        ({"heatmap": False, "caption_branch": False}, set()),
    ],
)
def test_gradients_reach_exactly_what_is_tuned(settings, absent):
    tuned = method(**settings)
    if tuned.adapter is not None:
        torch.nn.init.normal_(tuned.adapter.up)  # at its first state, zero, it passes no gradient on
    parts = tuned(images(), captions())
    torch.stack(list(parts.values())).square().sum().backward()
    gradients = {name: parameter.grad for name, parameter in tuned.named_parameters()}
    assert set(gradients) == ALL - absent
    assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients.values())
    assert all(parameter.grad is None for parameter in tiny_backbone("resnet")._model.parameters())


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {"image_global", "image_local", "image_prototype", "caption_global", "caption_local"}),
        ({"prototypes": False}, {"image_global", "image_local", "caption_global", "caption_local"}),
        ({"caption_branch": False}, {"image_global", "image_local", "image_prototype"}),
    ],
)
def test_every_part_is_a_table_of_scores(settings, expected):
    parts = method(**settings)(images(), captions())
    assert set(parts) == expected
    assert all(part.shape == (5, 3) for part in parts.values())


def test_parts_against_the_formulas_written_out():
    tuned, seen = method(scale=4.0, k_test=40.0, adapter=False).eval(), images()
    backbone = tiny_backbone("resnet")
    tokens = backbone.class_tokens(NAMES, 4)
    whole = backbone.prompts(tuned.global_context, tokens)
    local = backbone.prompts(tuned.local_context, tokens)
    parts = tuned.parts(seen)
    for b in range(5):
        for c in range(3):
            cosines = seen.patches[b] @ local[c]
            weights = (40.0 * cosines).softmax(dim=0)
            pooled = functional.normalize(weights @ seen.patches[b], dim=0)
            prototype = functional.normalize(tuned.prototypes[c], dim=0)
            torch.testing.assert_close(parts["global"][b, c], 4 * seen.whole[b] @ whole[c])
            torch.testing.assert_close(parts["local"][b, c], 4 * weights @ cosines)
            torch.testing.assert_close(parts["prototype"][b, c], 4 * pooled @ prototype)


def test_the_answer_is_the_mix_of_global_and_local_parts():
    tuned = method(mix=0.25).eval()
    parts = tuned.parts(images())
    expected = 0.25 * parts["global"] + 0.75 * (parts["local"] + parts["prototype"]) / 2
    torch.testing.assert_close(tuned.scores(images()), expected)


def test_training_and_use_have_heatmaps_of_their_own():
    tuned = method(k_train=50.0, k_test=1.0)
    assert not torch.allclose(tuned(images())["image_local"], tuned.eval().parts(images())["local"])


def test_adapter_serves_both_image_features_but_no_captions():
    tuned = method()
    before = tuned(images(), captions())
    torch.nn.init.normal_(tuned.adapter.up, generator=torch.Generator().manual_seed(0))
    after = tuned(images(), captions())
    changed = {name for name in before if not torch.allclose(before[name], after[name])}
    assert changed == {"image_global", "image_local", "image_prototype"}


def test_prototypes_start_at_the_mean_of_their_images():
    tuned, seen = method(adapter=False), images()
    labels = torch.tensor([[1, 0, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0], [1, 0, 1]], dtype=torch.bool)
    text = tuned.prototypes.detach().clone()
    halves = [(Images(seen.whole[a:b], seen.patches[a:b]), labels[a:b]) for a, b in ((0, 2), (2, 5))]
    tuned.initialise(halves)
    local = tiny_backbone("resnet").prompts(
        tuned.local_context, tiny_backbone("resnet").class_tokens(NAMES, 4)
    )
    for c, rows in ((0, [0, 1, 4]), (2, [2, 4])):
        pooled = [(50.0 * seen.patches[b] @ local[c]).softmax(dim=0) @ seen.patches[b] for b in rows]
        torch.testing.assert_close(tuned.prototypes[c], functional.normalize(sum(pooled), dim=0))
    assert torch.equal(tuned.prototypes[1], text[1])  # no image holds the class
    assert text.norm(dim=-1).allclose(torch.ones(3))


def test_prompts_are_encoded_once_in_use_and_anew_in_training(monkeypatch):
    tuned, calls = method(), []
    encode = type(tuned._backbone).prompts
    monkeypatch.setattr(type(tuned._backbone), "prompts", lambda *given: calls.append(1) or encode(*given))
    tuned.eval()
    tuned.scores(images()), tuned.scores(images()), tuned.heatmap(images())
    assert len(calls) == 2
    tuned.train()
    tuned(images()), tuned(images())
    assert len(calls) == 6
    with torch.no_grad():
        tuned.global_context.add_(1.0)
    before = tuned(images())["image_global"]
    torch.testing.assert_close(tuned.eval().parts(images())["global"], before.detach())


def test_the_first_state_follows_from_the_seed():
    one, same, other = method(1), method(1), method(2)
    assert torch.equal(one.global_context, same.global_context)
    assert not torch.equal(one.global_context, other.global_context)
    assert not torch.equal(one.global_context, one.local_context)


@pytest.mark.parametrize("tower", ["resnet", "vit"])
def test_it_is_built_trained_and_used_on_a_gpu(tower):
    with backbone_on_gpu(tower, NAMES, 4) as backbone:
        tuned = T2IPal(backbone, NAMES, TuneRecipe(context=4), 0)  # its parameters are on the CPU
        to_gpu(tuned)
        seen = Images(*backbone.pixels(torch.zeros(2, 3, 64, 64))[:2])
        tuned.initialise([(seen, torch.ones(2, 3, dtype=torch.bool, device="cuda"))])
        scores = tuned(seen, Captions(*backbone.sentences(["a fish", "a house"])))
        tuned.eval()
        for each in (*scores.values(), tuned.scores(seen), tuned.heatmap(seen)):
            assert each.device.type == "cuda"
