import pytest

from t2ipal.captions.accept import first_accepted, normalise
from t2ipal.vocabulary import Vocabulary

VOCABULARY = Vocabulary(names=("fish", "house", "tree"), synonyms=(("trout",), (), ()))


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("  a fish   and a house . ", "a fish and a house ."),
        ('\n"A fish."\nHere is why', "A fish."),
        ("\u201ca fish\u201d", "a fish"),
        ('a "fish"', 'a "fish"'),
        ('"', '"'),
        (" \n ", ""),
    ],
)
def test_normalise(answer, text):
    assert normalise(answer) == text


def test_the_first_answer_with_exactly_the_requested_classes_is_taken():
    answers = ["a fish", "a fish , a house and a tree", "two houses\tand a trout", "a fish and a house"]
    assert first_accepted(answers, (1, 0), VOCABULARY) == (2, "two houses and a trout")


def test_no_answer_is_taken_when_none_fits():
    assert first_accepted(["a fish", "a house", ""], (0, 1), VOCABULARY) is None


def test_text_after_the_first_line_does_not_count():
    assert first_accepted(["a fish\nand a house"], (0, 1), VOCABULARY) is None
