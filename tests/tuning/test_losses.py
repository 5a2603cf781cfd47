import math

import pytest
import torch
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from t2ipal.tuning.losses import asymmetric_loss, class_ranking_loss, ranking_loss
from tests.methods import formulas
from tests.methods.given import array

SCORES = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor(
    [[1, 0, 0, 0], [0, 1, 0, 1], [1, 1, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0], [1, 0, 0, 1]], dtype=torch.bool
)

# Of row 1 only what is there is known, of row 2 nothing, and of class 3 only who holds it.
SOME = torch.tensor(
    [[1, 1, 1, 0], [0, 1, 0, 1], [0, 0, 0, 0], [1, 1, 1, 0], [1, 0, 1, 0], [1, 0, 1, 1]], dtype=torch.bool
)
ALL = torch.ones_like(LABELS)
KNOWN = [(ALL, {0, 1, 2, 4, 5}), (SOME, {0, 5})]  # with the rows that are left with pairs


@pytest.mark.parametrize(("known", "rows"), KNOWN, ids=["all", "some"])
def test_losses_against_loops(known, rows):
    scores, labels, sure = array(SCORES), array(LABELS), array(known)
    for b, loss in enumerate(ranking_loss(SCORES, LABELS, 0.7, known)):
        expected = formulas.ranking_loss(scores[[b]], labels[[b]], 0.7, sure[[b]])
        assert math.isclose(loss, expected, abs_tol=1e-5)
        assert (expected > 0) == (b in rows)
    expected = formulas.class_wise_ranking_loss(scores, labels, 0.7, sure)
    assert math.isclose(class_ranking_loss(SCORES, LABELS, 0.7, known), expected, abs_tol=1e-5)


def over_all_pairs(scores, labels, margin, known):
    """The sums of ranking_loss [B], and the number of pairs [B], over a table [B, C, C]."""
    pairs = (labels & known)[:, :, None] & (~labels & known)[:, None, :]
    gaps = functional.relu(margin - scores[:, :, None] + scores[:, None, :])
    return (gaps * pairs).sum(dim=(1, 2)), pairs.sum(dim=(1, 2))


def mean_over_classes(sums, count):
    return (sums / count.clamp(min=1)).sum() / (count > 0).sum()


@pytest.mark.parametrize("known", [ALL, SOME], ids=["all", "some"])
def test_gradients_are_those_of_the_table_of_all_pairs(known):
    weights = torch.rand(6, generator=torch.Generator().manual_seed(2))
    scores = SCORES.clone().requires_grad_()
    for found, expected in (
        (
            (ranking_loss(scores, LABELS, 0.7, known) * weights).sum(),
            (over_all_pairs(scores, LABELS, 0.7, known)[0] * weights).sum(),
        ),
        (
            class_ranking_loss(scores, LABELS, 0.7, known),
            mean_over_classes(*over_all_pairs(scores.T, LABELS.T, 0.7, known.T)),
        ),
    ):
        (ours,), (theirs,) = (torch.autograd.grad(each, scores) for each in (found, expected))
        assert theirs.any()
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


class Largest(TorchDispatchMode):
    """Notes the number of values of the largest tensor that is made."""

    values = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor):
            self.values = max(self.values, made.numel())
        return made


def test_no_table_of_all_pairs_is_made():
    scores, labels = torch.zeros(20, 30, requires_grad=True), torch.zeros(20, 30, dtype=torch.bool)
    labels[::4, 3] = True
    for loss, others in ((ranking_loss, 30), (class_ranking_loss, 20)):
        with Largest() as largest:
            loss(scores, labels).sum().backward()
        assert largest.values <= max(5 * others, scores.numel())


def test_where_nothing_is_said_all_labels_are_known():
    for loss in (ranking_loss, class_ranking_loss):
        assert torch.equal(loss(SCORES, LABELS), loss(SCORES, LABELS, 1.0, ALL))
        assert not torch.equal(loss(SCORES, LABELS), loss(SCORES, LABELS, 1.0, SOME))


def test_what_is_not_known_counts_neither_as_there_nor_as_absent():
    rows, whole = (loss(SCORES, LABELS, 0.7, SOME) for loss in (ranking_loss, class_ranking_loss))
    for labels in (LABELS | ~SOME, LABELS & SOME):
        assert torch.equal(ranking_loss(SCORES, labels, 0.7, SOME), rows)
        assert torch.equal(class_ranking_loss(SCORES, labels, 0.7, SOME), whole)
    scores = SCORES.clone().requires_grad_()
    losses = (loss(scores, LABELS, 3.0, SOME).sum() for loss in (ranking_loss, class_ranking_loss))
    sum(losses).backward()
    assert not scores.grad[~SOME].any()
    assert scores.grad[0, :3].all()


def test_a_ranking_by_more_than_the_margin_costs_nothing():
    scores = LABELS.float() * 2.0
    assert ranking_loss(scores, LABELS).sum() == 0
    assert class_ranking_loss(scores, LABELS) == 0
    assert ranking_loss(-scores, LABELS).sum() > 0


def test_rows_and_batches_without_pairs_cost_nothing():
    nothing = torch.zeros(6, 4, dtype=torch.bool)
    assert ranking_loss(SCORES, nothing).tolist() == [0.0] * 6
    assert class_ranking_loss(SCORES, nothing) == 0
    assert ranking_loss(SCORES, LABELS, known=nothing).tolist() == [0.0] * 6
    assert class_ranking_loss(SCORES, LABELS, known=nothing) == 0


def plain_asymmetric(logit, there, gamma_negative, gamma_positive, clip):
    p = 1 / (1 + math.exp(-logit))
    q = max(p - clip, 0.0)
    return -((1 - p) ** gamma_positive) * math.log(p) if there else -(q**gamma_negative) * math.log(1 - q)


@pytest.mark.parametrize("numbers", [(2.0, 1.0, 0.05), (4.0, 0.0, 0.2), (0.0, 3.0, 0.0)])
def test_asymmetric_loss_against_loops(numbers):
    known = torch.rand(SCORES.shape, generator=torch.Generator().manual_seed(1)) < 0.6
    for told in (None, known):
        found = asymmetric_loss(3 * SCORES, LABELS, told, *numbers)
        for b, loss in enumerate(found):
            expected = sum(
                plain_asymmetric(3 * float(SCORES[b, c]), LABELS[b, c], *numbers)
                for c in range(4)
                if told is None or told[b, c]
            )
            assert math.isclose(loss, expected, abs_tol=1e-5)


def test_the_powers_of_the_asymmetric_loss_are_constants_in_the_gradient():
    logits = SCORES.clone().requires_grad_()
    asymmetric_loss(logits, LABELS, None, 2.0, 1.0, 0.05).sum().backward()
    p = SCORES.double().sigmoid()
    q = (p - 0.05).clamp(min=0)
    absent = torch.where(q > 0, q**2 / (1 - q) * p * (1 - p), 0.0)
    torch.testing.assert_close(logits.grad.double(), torch.where(LABELS, -((1 - p) ** 2), absent))


def test_an_easy_negative_costs_nothing_and_sure_answers_stay_finite():
    logits = torch.tensor([[-3.0, -40.0, 40.0]], requires_grad=True)  # sigmoid(-3) is 0.047, below the clip
    nothing = torch.zeros(1, 3, dtype=torch.bool)
    assert asymmetric_loss(logits[:, :2], nothing[:, :2]) == 0
    loss = asymmetric_loss(logits, nothing, clip=0.0) + asymmetric_loss(-logits, ~nothing, clip=0.0)
    loss.sum().backward()
    assert loss.isfinite().all()
    assert logits.grad.isfinite().all()
