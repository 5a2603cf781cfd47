import open_clip
import pytest
import torch
from torch.nn import functional

from t2ipal.clip import load_backbone
from t2ipal.clip.text import end_token
from t2ipal.errors import UserError
from t2ipal.recipe import BackboneRecipe
from tests.tiny_clip import CONTEXT_LENGTH, EMBED_DIM, tiny_backbone, tiny_folder, write_tiny_clip

NAMES = ["fish", "teddy bear", "house"]
SENTENCES = ["a picture of a red fish and the tree", "house"]

# The layouts that open_clip's models come in: projection by a matrix or a Linear, pooling by the largest id
# or by the end token, causal or not, tower within the model or on its own.
LAYOUTS = {
    "plain": {},
    "linear": {"custom_text": True, "proj_bias": True},
    "end": {"custom_text": True, "pool_type": "eos", "eos_id": 16},
    "uncausal": {"custom_text": True, "no_causal_mask": True, "pool_type": "last"},
}


@pytest.fixture(params=LAYOUTS)
def backbone(request, tmp_path):
    folder = write_tiny_clip(tmp_path, "resnet", **LAYOUTS[request.param])
    return load_backbone(BackboneRecipe(model=str(folder)))


def encode(backbone, texts):
    return functional.normalize(backbone._model.encode_text(backbone._text._tokenize(texts)), dim=-1)


def context_of(backbone, words):
    """The token embeddings of some words, which a context may hold."""
    ids = backbone._text._tokenize([words])[0, 1 : 1 + len(words.split())]
    return backbone._text._tower.token_embedding(ids)


def test_sentences_are_encoded_as_open_clip_does(backbone):
    features = backbone.sentences(SENTENCES)
    torch.testing.assert_close(features.whole, encode(backbone, SENTENCES), atol=1e-5, rtol=0)
    length = 9 + 2 if backbone._text._causal else CONTEXT_LENGTH  # what an uncausal tower has seen is not cut
    assert features.tokens.shape == (2, length, EMBED_DIM)
    assert features.mask.shape == (2, length)


def test_tokens_end_with_the_end_token():
    features = tiny_backbone("resnet").sentences(SENTENCES)
    assert features.mask.sum(dim=1).tolist() == [9 + 2, 1 + 2]
    for row, last in ((0, 10), (1, 2)):
        torch.testing.assert_close(features.tokens[row, last], features.whole[row])


def test_a_context_of_word_embeddings_is_the_plain_sentence(backbone):
    context = context_of(backbone, "a picture of a")
    (prompts,) = backbone.shared_prompts(context[None], backbone.class_tokens(NAMES, 4), len(NAMES))
    expected = encode(backbone, [f"a picture of a {name}" for name in NAMES])
    torch.testing.assert_close(prompts, expected, atol=1e-5, rtol=0)


def test_every_class_may_have_a_context_of_its_own(backbone):
    openings = ["a picture of a", "photo of the red", "the blue and red"]
    contexts = torch.stack([context_of(backbone, words) for words in openings])
    prompts = backbone.prompts(contexts, backbone.class_tokens(NAMES, 4), len(NAMES))
    expected = encode(backbone, [f"{words} {name}" for words, name in zip(openings, NAMES, strict=True)])
    torch.testing.assert_close(prompts, expected, atol=1e-5, rtol=0)


def test_gradients_reach_the_context_and_nothing_else(backbone):
    context, tokens = torch.randn(4, backbone.width, requires_grad=True), backbone.class_tokens(NAMES, 4)
    own = context.expand(len(NAMES), -1, -1)
    for features in (
        backbone.shared_prompts(context[None], tokens, len(NAMES))[0],
        backbone.prompts(own, tokens, len(NAMES)),
    ):
        context.grad = None
        features.square()[:, 0].sum().backward()
        assert (context.grad.abs().sum(dim=1) > 0).all()
    assert all(p.grad is None and not p.requires_grad for p in backbone._model.parameters())


def test_a_causal_tower_skips_the_padding():
    tokens = tiny_backbone("resnet").class_tokens(NAMES, 4)
    assert tokens.ids.shape == (3, 1 + 4 + 2 + 1)


def test_a_sentence_is_the_same_beside_a_longer_one(backbone):
    alone, beside = backbone.sentences(SENTENCES[1:]), backbone.sentences(SENTENCES)
    length = int(alone.mask.sum())
    torch.testing.assert_close(alone.whole[0], beside.whole[1], atol=1e-6, rtol=0)
    torch.testing.assert_close(alone.tokens[0, :length], beside.tokens[1, :length], atol=1e-6, rtol=0)


def test_a_name_that_does_not_fit_is_reported():
    backbone = tiny_backbone("resnet")
    fits = CONTEXT_LENGTH - 3  # a word, the begin and the end token
    backbone.class_tokens(["fish"], fits)
    with pytest.raises(UserError, match=r"(?s)'teddy bear'.*lower methods\.<method>\.context"):
        backbone.class_tokens(["fish", "teddy bear"], fits)


def test_the_end_token_comes_from_the_tokenizer():
    assert end_token(open_clip.get_tokenizer("RN50")) == 49407
    assert end_token(open_clip.get_tokenizer(f"local-dir:{tiny_folder('resnet')}")) == 16
    with pytest.raises(UserError, match="no end token"):
        end_token(object())


def test_coca_text_towers_are_refused(tmp_path):
    folder = write_tiny_clip(tmp_path, "resnet", custom_text=True, embed_cls=True)
    with pytest.raises(UserError, match="TextTransformer"):
        load_backbone(BackboneRecipe(model=str(folder)))
