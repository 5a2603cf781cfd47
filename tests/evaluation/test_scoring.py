import torch

from t2ipal.evaluation.scoring import score
from t2ipal.methods import Images
from tests.tuning.tiny_set import tiny_method, tiny_set


def test_batches_are_put_together_in_order():
    method, seen = tiny_method("t2i_pal"), tiny_set().images.features
    scores, parts = score(method, *seen, batch=4)
    assert scores.shape == (23, 3)
    images = Images(*(table.float() for table in seen))
    torch.testing.assert_close(torch.from_numpy(scores), method.scores(images))
    for name, part in method.parts(images).items():
        torch.testing.assert_close(torch.from_numpy(parts[name]), part)
