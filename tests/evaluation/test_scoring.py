import torch

from t2ipal.evaluation.scoring import score
from t2ipal.methods import Images
from tests.tuning.tiny_set import tiny_method, tiny_recipe, tiny_set


def test_batches_are_put_together_in_order():
    method, data = tiny_method(tiny_recipe()), tiny_set()
    scores, parts = score(method, data.whole, data.patches, batch=4)
    assert scores.shape == (23, 3)
    images = Images(data.whole.float(), data.patches.float())
    torch.testing.assert_close(torch.from_numpy(scores), method.scores(images))
    for name, part in method.parts(images).items():
        torch.testing.assert_close(torch.from_numpy(parts[name]), part)
