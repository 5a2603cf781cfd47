import numpy as np
import torch

from t2ipal.methods.fusion import Fusion, Range
from tests.methods.test_dual_coop import images
from tests.methods.test_dual_coop import method as dual_coop
from tests.tuning.tiny_set import tiny_method

RANGES = (Range(-1.0, 3.0), Range(0.25, 0.75))


def fused(share, ranges=RANGES):
    label_free, labelled = tiny_method("t2i_pal").eval(), dual_coop()
    return Fusion(label_free, labelled, ranges, share), label_free, labelled


def test_against_the_formula_written_out():
    both, label_free, labelled = fused(0.6)
    first, second = (each.scores(images()).double().numpy() for each in (label_free, labelled))
    expected = 0.4 * (first + 1) / 4 + 0.6 * (second - 0.25) / 0.5
    np.testing.assert_allclose(both.scores(images()), expected, atol=1e-5)
    parts = both.parts(images())
    np.testing.assert_allclose(parts["label_free"], (first + 1) / 4, atol=1e-5)
    np.testing.assert_allclose(parts["labelled"], (second - 0.25) / 0.5, atol=1e-5)


def test_the_share_goes_from_one_to_the_other():
    for share, which in ((0.0, 1), (1.0, 2)):
        both = fused(share, (Range(0.0, 1.0), Range(0.0, 1.0)))
        torch.testing.assert_close(both[0].scores(images()), both[which].scores(images()))
        torch.testing.assert_close(both[0].heatmap(images()), both[which].heatmap(images()))


def test_the_range_is_that_of_all_images_and_classes():
    scores = np.array([[0.5, -2.0], [4.0, 0.0]], dtype=np.float32)
    found = Range.of(scores)
    assert found == (-2.0, 4.0)
    assert found.normalise(torch.tensor([-2.0, 4.0, 1.0, 7.0])).tolist() == [0.0, 1.0, 0.5, 1.5]
    assert Range(2.0, 2.0).normalise(torch.tensor([2.0])).tolist() == [0.0]
