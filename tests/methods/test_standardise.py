import pytest
import torch

from t2ipal.methods.standardise import Standardisation, standardise_images


def scores():
    generator = torch.Generator().manual_seed(0)
    return 20 + torch.randn(50, 6, generator=generator) * torch.tensor([1.0, 2, 3, 1, 1, 1])


def test_images_then_classes_get_mean_0_and_deviation_1():
    rows = standardise_images(scores())
    torch.testing.assert_close(rows.mean(dim=1), torch.zeros(50), atol=1e-5, rtol=0)
    torch.testing.assert_close(rows.std(dim=1, correction=0), torch.ones(50))
    done = Standardisation.fit(scores())(scores())
    torch.testing.assert_close(done.mean(dim=0), torch.zeros(6), atol=1e-5, rtol=0)
    torch.testing.assert_close(done.std(dim=0, correction=0), torch.ones(6))
    torch.testing.assert_close(done, (rows - rows.mean(dim=0)) / rows.std(dim=0, correction=0))


def test_a_case_worked_by_hand():
    # Rows become (-1, 1) and (1, -1), then nothing is left to do.
    fitted = Standardisation.fit(torch.tensor([[1.0, 3.0], [9.0, 5.0]]))
    torch.testing.assert_close(fitted.mean, torch.zeros(2))
    torch.testing.assert_close(fitted.std, torch.ones(2))
    torch.testing.assert_close(fitted(torch.tensor([[7.0, 3.0]])), torch.tensor([[1.0, -1.0]]))


def test_an_image_is_judged_by_what_was_fitted_not_by_its_batch():
    fitted = Standardisation.fit(scores())
    torch.testing.assert_close(fitted(scores()[:1]), fitted(scores())[:1])


@pytest.mark.parametrize("value", [0.0, 0.1, 23.7])  # sums of the last two leave rounding errors
def test_equal_scores_become_0(value):
    equal = torch.full((7, 11), value)
    torch.testing.assert_close(standardise_images(equal), torch.zeros(7, 11), atol=1e-4, rtol=0)
    torch.testing.assert_close(Standardisation.fit(equal)(equal), torch.zeros(7, 11), atol=1e-4, rtol=0)


def test_a_single_class_is_standardised_over_images_alone():
    one = torch.tensor([[1.0], [3.0]])
    torch.testing.assert_close(Standardisation.fit(one)(one), torch.tensor([[-1.0], [1.0]]))
