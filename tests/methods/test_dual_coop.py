import numpy as np
import pytest
import torch
from torch.nn import functional

from t2ipal.method_settings import DualCoOpSettings
from t2ipal.methods import Batch, Images
from t2ipal.methods.dual_coop import DualCoOp
from tests.tiny_clip import EMBED_DIM, tiny_backbone

NAMES = ["fish", "teddy bear", "house"]
CONTEXTS = {"prompts.positive_context", "prompts.negative_context"}
LABELS = torch.tensor([[1, 0, 0], [0, 1, 1], [0, 0, 0], [1, 1, 0]], dtype=torch.bool)
KNOWN = torch.tensor([[1, 1, 0], [0, 1, 1], [1, 1, 0], [1, 1, 0]], dtype=torch.bool)


def method(**settings):
    tuned = DualCoOp(tiny_backbone("resnet"), NAMES, DualCoOpSettings(context=4, **settings), 0)
    with torch.no_grad():  # at the first state all prompts are nearly alike
        for each in tuned.parameters():
            each.mul_(50)
    return tuned.eval()


def images(count=4):
    generator = torch.Generator().manual_seed(3)
    whole, patches = (
        torch.randn(count, EMBED_DIM, generator=generator),
        torch.randn(count, 5, EMBED_DIM, generator=generator),
    )
    return Images(functional.normalize(whole, dim=-1), functional.normalize(patches, dim=-1))


def batch(labels=LABELS, known=KNOWN):
    return Batch(labels, images(), None, random=None, known=known)


def by_hand(tuned, settings):
    """Scores and the loss of each row, written out."""
    patches = images().patches.double().numpy()
    positive, negative = (each.detach().double().numpy() for each in tuned.prompts())
    toward, against = (np.zeros((4, 3)) for _ in range(2))
    for b in range(4):
        for c in range(3):
            cosine = patches[b] @ positive[c]
            weights = np.exp(settings.k * cosine)
            weights /= weights.sum()
            toward[b, c] = settings.scale * (weights * cosine).sum()
            against[b, c] = settings.scale * (weights * (patches[b] @ negative[c])).sum()
    p = np.exp(toward) / (np.exp(toward) + np.exp(against))
    q = np.maximum(p - settings.clip, 0)
    there = -((1 - p) ** settings.gamma_positive) * np.log(p)
    absent = -(q**settings.gamma_negative) * np.log(1 - q)
    loss = (np.where(LABELS, there, absent) * KNOWN.numpy()).sum(axis=1)
    return toward, against, p, loss


@pytest.mark.parametrize(
    "settings", [{}, {"scale": 7.0, "k": 3.0, "gamma_negative": 4.0, "gamma_positive": 0.5, "clip": 0.2}]
)
def test_against_the_formulas_written_out(settings):
    tuned = method(**settings)
    toward, against, p, loss = by_hand(tuned, DualCoOpSettings(**settings))
    parts = tuned.parts(images())
    np.testing.assert_allclose(parts["positive"].detach(), toward, atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(parts["negative"].detach(), -against, atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(tuned.scores(images()), p, atol=1e-5)
    np.testing.assert_allclose(tuned(batch(), "tune").rows["labels"].detach(), loss, atol=1e-5, rtol=1e-5)


def test_gradients_reach_both_contexts_and_nothing_else():
    tuned = method().train()
    tuned(batch(), "tune").rows["labels"].sum().backward()
    gradients = {name: parameter.grad for name, parameter in tuned.named_parameters()}
    assert set(gradients) == CONTEXTS
    assert all((gradient.abs().sum(dim=(1, 2)) > 0).all() for gradient in gradients.values())
    assert all(parameter.grad is None for parameter in tiny_backbone("resnet")._model.parameters())


def test_a_class_has_contexts_of_its_own():
    tuned = method().train()
    only = torch.zeros_like(KNOWN)
    only[:, 1] = True
    tuned(batch(known=only), "tune").rows["labels"].sum().backward()
    for parameter in tuned.parameters():
        assert (parameter.grad.abs().sum(dim=(1, 2)) > 0).tolist() == [False, True, False]


def test_or_all_classes_share_two():
    tuned = method(class_specific=False)
    assert {name: tuple(each.shape) for name, each in tuned.named_parameters()} == dict.fromkeys(
        CONTEXTS, (4, tiny_backbone("resnet").width)
    )


def test_what_is_not_known_is_not_learned_from():
    tuned = method().train()
    losses = [tuned(batch(labels), "tune").rows["labels"] for labels in (LABELS, LABELS ^ ~KNOWN)]
    torch.testing.assert_close(*losses, atol=0, rtol=0)
    assert not torch.equal(losses[0], tuned(batch(known=None), "tune").rows["labels"])


def test_tuning_sees_one_phase_of_images():
    (phase,) = method(loss_weight=3.0).phases()
    assert (phase.rows, dict(phase.weights), set(phase.rates)) == ("images", {"labels": 3.0}, {"prompts"})
    assert (phase.schedule.epochs, phase.schedule.batch, phase.rates["prompts"].peak) == (50, 64, 0.002)


def test_the_heatmap_is_that_of_the_positive_prompts():
    tuned = method()
    expected = torch.einsum("bpd,cd->bcp", images().patches, tuned.prompts().positive)
    torch.testing.assert_close(tuned.heatmap(images()), expected)
