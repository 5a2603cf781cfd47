import math

import pytest
import torch
from torch.nn import functional

from t2ipal.methods import heatmap
from t2ipal.methods.heatmap import (
    aggregate,
    attention,
    local_similarities,
    local_similarity,
    pooled_similarity,
    pooled_sum,
    similarities,
)
from tests.memory import PeakMemory

PLACES = functional.normalize(torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0)), dim=-1)
CLASSES = functional.normalize(torch.randn(3, 4, generator=torch.Generator().manual_seed(1)), dim=-1)
PROTOTYPES = functional.normalize(torch.randn(3, 4, generator=torch.Generator().manual_seed(2)), dim=-1)


def test_against_the_formulas_written_out():
    cosine = similarities(PLACES, CLASSES)
    weights = attention(cosine, 7.0)
    local, summed = aggregate(weights, cosine), torch.zeros(3, 4)
    pooled = pooled_similarity(weights, PLACES, PROTOTYPES)
    for b in range(2):
        for c in range(3):
            cosines = [float(PLACES[b, j] @ CLASSES[c]) for j in range(5)]
            total = sum(math.exp(7.0 * each) for each in cosines)
            shares = [math.exp(7.0 * each) / total for each in cosines]
            expected = sum(share * each for share, each in zip(shares, cosines, strict=True))
            assert math.isclose(local[b, c], expected, abs_tol=1e-6)
            mean = sum(share * PLACES[b, j] for j, share in enumerate(shares))
            assert math.isclose(pooled[b, c], mean @ PROTOTYPES[c] / mean.norm(), abs_tol=1e-6)
            summed[c] += mean
    torch.testing.assert_close(pooled_sum(weights, PLACES), summed)


def test_masked_places_have_no_part():
    mask = torch.tensor([[True, True, False, True, False], [True] * 5])
    weights = attention(similarities(PLACES, CLASSES), 7.0, mask)
    assert (weights[0][:, ~mask[0]] == 0).all()
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(2, 3))
    alone = attention(similarities(PLACES[:1, mask[0]], CLASSES), 7.0)
    torch.testing.assert_close(weights[:1, :, mask[0]], alone)


def test_no_sharpness_weighs_all_places_alike():
    torch.testing.assert_close(attention(similarities(PLACES, CLASSES), 0.0), torch.full((2, 3, 5), 0.2))


def local(places, classes, prototypes):
    mask = torch.arange(places.shape[1]) < torch.arange(1, len(places) + 1)[:, None]
    return [
        *local_similarities(places, classes, 7.0, prototypes),
        local_similarity(places, classes, 7.0, mask),
    ]


@pytest.mark.parametrize("prototypes", [[], [PROTOTYPES], [PROTOTYPES, CLASSES]], ids=len)
def test_rows_in_chunks_have_the_values_and_the_gradients_of_all_at_once(prototypes, monkeypatch):
    found = []
    for table in (heatmap.TABLE, 3 * 5, 1):  # all rows at once, one at once, less than one
        monkeypatch.setattr(heatmap, "TABLE", table)
        given = [each.clone().requires_grad_() for each in (PLACES, CLASSES, *prototypes)]
        scores = torch.stack(local(given[0], given[1], given[2:]))
        assert len(scores) == 2 + len(prototypes)
        scores.square().sum().backward()
        found.append([scores.detach(), *(each.grad for each in given)])
    for chunked in found[1:]:
        for one, other in zip(chunked, found[0], strict=True):
            assert other.abs().sum() > 0
            torch.testing.assert_close(one, other)


def test_thousands_of_classes_need_no_more_tables_than_are_held(monkeypatch):
    monkeypatch.setattr(heatmap, "TABLE", 2**14)
    places = functional.normalize(torch.randn(32, 16, 8), dim=-1).requires_grad_()
    classes, prototypes = (
        functional.normalize(torch.randn(1000, 8), dim=-1).requires_grad_() for _ in range(2)
    )
    with PeakMemory() as memory:
        torch.stack(local(places, classes, [prototypes])).sum().backward()
    assert memory.most < 32 * 1000 * 16 * 4  # bytes of a single table of all rows
