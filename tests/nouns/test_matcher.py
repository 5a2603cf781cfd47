import pytest

from t2ipal.nouns.matcher import NounMatcher, tokenise

WORDS = (
    ("person", "man", "catcher"),
    ("dog",),
    ("hot dog",),
    ("wine glass", "glass of wine"),
    ("car",),
    ("train",),
    ("orange",),
    ("baseball glove", "catcher's mitt"),
    ("horse",),
    ("elephant",),
    ("running", "run", "runner"),
    ("café",),
    ("boats",),
)
MATCHER = NounMatcher(WORDS)


def found(sentence):
    return [WORDS[i][0] for i in MATCHER.labels(sentence)]


@pytest.mark.parametrize(
    ("sentence", "names"),
    [
        ("A hot dog", ["hot dog"]),  # longest first, and used up
        ("Hot dogs, and a dog", ["dog", "hot dog"]),
        ("two glasses of wine", ["wine glass"]),  # the head is not the last word
        ("wine glasses", ["wine glass"]),
        ("a carpet by the scar of a bulldog", []),  # no match inside a word
        ("one boat", ["boats"]),  # a name in the plural
        ("the catcher's mitt", ["baseball glove"]),
        ("the catcher\u2019s mitt", ["baseball glove"]),
        ("the catcher's dog", ["person", "dog"]),
        ("the dogs' dinner", ["dog"]),
        ("\u201cDogs!\u201d \u2014 one said", ["dog"]),
        ("the cafe\u0301", ["café"]),
        ("CAFÉ", ["café"]),
        ("a hot-dog and a hot\u2011dog", ["hot dog"]),
        ("a dog-like, dog_like or dog-friendly car", ["car"]),
        ("a horse-drawn cart", ["horse"]),
        ("a race-car", ["car"]),
        ("a dog - asleep", ["dog"]),
        ("a dog's-eye view", ["dog"]),
        ("a corn dog", []),  # a compound that is another thing
        ("a rocking horse and a horse", ["horse"]),
        ("", []),
        ("  \n", []),
        ("-", []),
        ("...!?'", []),
        ("狗 dog 🐶", ["dog"]),
    ],
)
def test_labels(sentence, names):
    assert found(sentence) == names


@pytest.mark.parametrize(
    ("sentence", "names"),
    [
        ("soldiers can train", []),
        ("an orange shirt", []),
        ("a train station", []),
        ("no cars", []),
        ("a man runs", ["person", "running"]),  # a class that is a doing takes verbs
        ("they run", ["running"]),
        ("no runners", []),
        ("a dog horse", ["horse"]),
        ("a train car, an orange", ["car", "orange"]),
        ("a dog, horse and train", ["dog", "train", "horse"]),
    ],
)
def test_the_rules_are_asked(sentence, names):
    assert found(sentence) == names


def test_a_vocabulary_may_name_a_listed_compound():
    assert NounMatcher([("table",), ("pool table",)]).labels("a pool table") == (1,)
    assert NounMatcher([("table",)]).labels("a pool table") == ()


def test_tokens():
    assert tokenise("It's 10 o'clock: the men\u2019s Double-decker.") == (
        ["it", "'s", "10", "o'clock", ":", "the", "men", "'s", "double", "decker", "."],
        frozenset({8}),
    )
