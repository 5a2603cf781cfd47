import math

import torch

from t2ipal.tuning.losses import class_ranking_loss, ranking_loss

SCORES = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor(
    [[1, 0, 0, 0], [0, 1, 0, 1], [1, 1, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0], [1, 0, 0, 1]], dtype=torch.bool
)


def test_ranking_loss_against_loops():
    for b, loss in enumerate(ranking_loss(SCORES, LABELS, margin=0.7)):
        expected = sum(
            max(0.0, 0.7 - float(SCORES[b, i]) + float(SCORES[b, j]))
            for i in range(4)
            for j in range(4)
            if LABELS[b, i] and not LABELS[b, j]
        )
        assert math.isclose(loss, expected, abs_tol=1e-5)


def test_class_ranking_loss_against_loops():
    means = []
    for c in range(4):
        gaps = [
            max(0.0, 0.7 - float(SCORES[a, c]) + float(SCORES[b, c]))
            for a in range(6)
            for b in range(6)
            if LABELS[a, c] and not LABELS[b, c]
        ]
        means += [sum(gaps) / len(gaps)] if gaps else []
    assert len(means) == 3  # nothing holds class 2
    loss = class_ranking_loss(SCORES, LABELS, margin=0.7)
    assert math.isclose(loss, sum(means) / 3, abs_tol=1e-5)


def test_a_ranking_by_more_than_the_margin_costs_nothing():
    scores = LABELS.float() * 2.0
    assert ranking_loss(scores, LABELS).sum() == 0
    assert class_ranking_loss(scores, LABELS) == 0
    assert ranking_loss(-scores, LABELS).sum() > 0


def test_rows_and_batches_without_pairs_cost_nothing():
    nothing = torch.zeros(6, 4, dtype=torch.bool)
    assert ranking_loss(SCORES, nothing).tolist() == [0.0] * 6
    assert class_ranking_loss(SCORES, nothing) == 0
