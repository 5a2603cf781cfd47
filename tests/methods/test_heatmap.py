import math

import torch
from torch.nn import functional

from t2ipal.methods.heatmap import aggregate, attention, pool, similarities

PLACES = functional.normalize(torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0)), dim=-1)
CLASSES = functional.normalize(torch.randn(3, 4, generator=torch.Generator().manual_seed(1)), dim=-1)


def test_against_the_formulas_written_out():
    cosine = similarities(PLACES, CLASSES)
    weights = attention(cosine, 7.0)
    local, pooled = aggregate(weights, cosine), pool(weights, PLACES)
    for b in range(2):
        for c in range(3):
            cosines = [float(PLACES[b, j] @ CLASSES[c]) for j in range(5)]
            total = sum(math.exp(7.0 * each) for each in cosines)
            shares = [math.exp(7.0 * each) / total for each in cosines]
            expected = sum(share * each for share, each in zip(shares, cosines, strict=True))
            assert math.isclose(local[b, c], expected, abs_tol=1e-6)
            mean = sum(share * PLACES[b, j] for j, share in enumerate(shares))
            torch.testing.assert_close(pooled[b, c], mean)


def test_masked_places_have_no_part():
    mask = torch.tensor([[True, True, False, True, False], [True] * 5])
    weights = attention(similarities(PLACES, CLASSES), 7.0, mask)
    assert (weights[0][:, ~mask[0]] == 0).all()
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(2, 3))
    alone = attention(similarities(PLACES[:1, mask[0]], CLASSES), 7.0)
    torch.testing.assert_close(weights[:1, :, mask[0]], alone)


def test_no_sharpness_weighs_all_places_alike():
    torch.testing.assert_close(attention(similarities(PLACES, CLASSES), 0.0), torch.full((2, 3, 5), 0.2))
