import pytest

from t2ipal.nouns.english import can_be, is_base, is_plural, noun_forms


@pytest.mark.parametrize(
    ("word", "plural"),
    [
        ("knife", "knives"),
        ("mouse", "mice"),
        ("person", "people"),
        ("ox", "oxen"),
        ("snowman", "snowmen"),
        ("frisbee", "frisbees"),  # not in the dictionary, like the next three
        ("hotdog", "hotdogs"),
        ("kitschcraftsman", "kitschcraftsmen"),
        ("xyzbox", "xyzboxes"),
        ("xyzberry", "xyzberries"),
        ("xyzkey", "xyzkeys"),
    ],
)
def test_a_noun_has_its_plural(word, plural):
    forms = noun_forms(word)
    assert forms[0] == word
    assert plural in forms


@pytest.mark.parametrize(("word", "forms"), [("skis", ("skis", "ski")), ("boats", ("boats", "boat"))])
def test_a_plural_has_its_singular(word, forms):
    assert noun_forms(word) == forms


@pytest.mark.parametrize("word", ["scissors", "sheep", "+", "7"])
def test_some_words_do_not_change(word):
    assert noun_forms(word) == (word,)


def test_what_a_word_can_be():
    assert can_be("bear", "VERB")
    assert not can_be("giraffe", "VERB")
    assert not can_be("xyzberry", "NOUN")
    assert is_base("bear", "VERB")
    assert not is_base("bears", "VERB")
    assert [word for word in ("skis", "people", "ski", "scissors", "glasses") if is_plural(word)] == [
        "skis",
        "people",
    ]
