import torch

from t2ipal.methods import Images, ZeroShot
from tests.tiny_clip import EMBED_DIM, tiny_backbone


def test_scores_are_cosines_to_the_templates_sentences():
    backbone = tiny_backbone("resnet")
    method = ZeroShot(backbone, ["fish", "teddy bear"], "a photo of a {}")
    images = Images(torch.randn(3, EMBED_DIM), torch.randn(3, 4, EMBED_DIM))
    sentences = backbone.sentences(["a photo of a fish", "a photo of a teddy bear"]).whole
    torch.testing.assert_close(method.scores(images), images.whole @ sentences.T)
    torch.testing.assert_close(method.heatmap(images)[2, 1, 3], images.patches[2, 3] @ sentences[1])


def test_nothing_is_tuned():
    assert not list(ZeroShot(tiny_backbone("resnet"), ["fish"], "{}").parameters())
