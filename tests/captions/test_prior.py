import pytest

from t2ipal.captions.collect import Answer
from t2ipal.captions.prior import prior_of
from t2ipal.errors import UserError
from t2ipal.run_files import CAPTION_PRIOR
from t2ipal.store import Store
from t2ipal.vocabulary import Vocabulary
from tests.recipes import tiny_recipe

VOCABULARY = Vocabulary.load(["fish", "house", "tree", "car"])


def no_model(shards, make_requests):
    raise AssertionError("no language model is asked")


def answering(texts, error=""):
    """Return a way to ask that answers for each class with its text."""

    def ask(shards, make_requests):
        for shard in shards:
            for request in make_requests(shard):
                key = request["shard"], request["index"], request["candidate"]
                yield Answer(*key, texts[request["index"]], error)

    return ask


def get(folder, ask, **prior):
    captions = tiny_recipe(captions={"prior": prior or None}).captions
    store = Store.open(str(folder))
    return prior_of(captions, VOCABULARY, 0, store, ask), store


def test_without_a_prior_nothing_is_written(tmp_path):
    prior, store = get(tmp_path, no_model)
    assert prior is None
    assert not store.exists(CAPTION_PRIOR)


def test_a_prior_from_a_corpus(tmp_path):
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("a fish in a house\n" * 3 + "a tree by a car\nnothing\n")
    prior, store = get(tmp_path / "run", no_model, corpus=str(corpus), uniform=1e-6, balance=0.0)
    assert prior.classes == pytest.approx([3 / 8, 3 / 8, 1 / 8, 1 / 8], abs=1e-3)
    assert prior.pairs[0, 1] == pytest.approx(0.75, abs=1e-3)
    assert store.read_json(CAPTION_PRIOR)["sentences"] == 5
    corpus.unlink()  # it is read once
    again, _ = get(tmp_path / "run", no_model, corpus=str(corpus), uniform=1e-6, balance=0.0)
    assert (again.pairs == prior.pairs).all()


def test_a_prior_asked_from_the_language_model_once(tmp_path):
    texts = ["house, tree", "fish\ncar", "A fish. No car", "nothing of these"]
    settings = {"prompt": "what is with {class}?", "answers": 3, "uniform": 1e-6, "balance": 0.0}
    prior, store = get(tmp_path, answering(texts), **settings)
    # pairs by answer: fish-house, fish-tree, house-tree; fish-house, house-car, fish-car; fish-tree
    expected = {(0, 1): 2, (0, 2): 2, (1, 2): 1, (1, 3): 1, (0, 3): 1}
    named = {(a, b): prior.pairs[a, b] > 1e-4 for a in range(4) for b in range(a + 1, 4)}
    assert named == {pair: pair in expected for pair in named}
    assert store.read_json(CAPTION_PRIOR)["sentences"] == 12
    again, _ = get(tmp_path, no_model, **settings)
    assert (again.pairs == prior.pairs).all()


def test_sources_that_say_nothing(tmp_path):
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("a fish\na house\n")
    with pytest.raises(UserError, match=r"none of the sentences of .*corpus.txt' \(2\) names two classes"):
        get(tmp_path / "run", no_model, corpus=str(corpus))
    with pytest.raises(UserError, match=r"none of the answers to captions\.prior\.prompt \(4\) names two"):
        get(tmp_path / "run", answering(["none"] * 4), prompt="with {class}?", answers=1)
    with pytest.raises(UserError, match=r"failed on an answer with too long"):
        get(tmp_path / "run", answering([""] * 4, error="too long"), prompt="with {class}?", answers=1)
    assert not Store.open(str(tmp_path / "run")).exists(CAPTION_PRIOR)


def test_a_damaged_file_is_not_made_anew(tmp_path):
    Store.open(str(tmp_path)).write_bytes(CAPTION_PRIOR, b"{")
    with pytest.raises(UserError, match=r"_prior\.json is damaged"):
        get(tmp_path, no_model, prompt="with {class}?")
