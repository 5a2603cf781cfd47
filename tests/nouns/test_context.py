import pytest

from t2ipal.nouns.context import Place, is_adjective, is_modifier, is_negated, is_verb


def place(sentence):
    """The word in capitals in its sentence."""
    words = sentence.split()
    start = next(i for i, word in enumerate(words) if word.isupper() and len(word) > 1)
    return Place([word.lower() for word in words], start, start + 1)


@pytest.mark.parametrize(
    "sentence",
    [
        "people can SKI here",
        "they want to SKI here",
        "he BOTTLES beer",
        "they SKI downhill",
        "two men SKI downhill",
        "a man SKIS downhill",
        "cars TRAIN drivers",
        "soldiers SKI downhill",
        "the dentist TRAINS his puppy",
        "please BEAR with me",
        "BOOK your flight",
    ],
)
def test_verbs(sentence):
    assert is_verb(place(sentence))


@pytest.mark.parametrize(
    "sentence",
    [
        "BEAR with her cubs",
        "the BEAR",
        "a can TRAIN",
        "next to TRAIN tracks",
        "a TRAIN and the station",
        "a man holds BAT and ball",
        "sports BALL",
        "wooden SKIS",
        "by the TRAIN the people wait",
        "a man and a GIRAFFE",
    ],
)
def test_nouns_are_no_verbs(sentence):
    assert not is_verb(place(sentence))


@pytest.mark.parametrize(
    "sentence",
    [
        "an ORANGE shirt",
        "an ORANGE wooden boat",
        "bright ORANGE",
        "the wall is ORANGE",
        "dressed in ORANGE",
        "an ORANGE and black cat",
        "black and ORANGE stripes",
        "a REMOTE village",
    ],
)
def test_adjectives(sentence):
    assert is_adjective(place(sentence))


@pytest.mark.parametrize(
    "sentence",
    [
        "an ORANGE",
        "an ORANGE on a plate",
        "ORANGE slices",
        "an ORANGE falls",
        "an ORANGE cut in half",
        "a bright ORANGE",
        "an ORANGE and a banana",
        "in an ORANGE",
        "a BOAT shed",
    ],
)
def test_nouns_are_no_adjectives(sentence):
    assert not is_adjective(place(sentence))


@pytest.mark.parametrize(
    "sentence",
    ["no CARS", "without a single CAR", "no red CARS", "no cars or PEOPLE", "neither DOG nor cat"],
)
def test_negation(sentence):
    assert is_negated(place(sentence))


@pytest.mark.parametrize("sentence", ["a CAR", "CAR", "no dog but a CAR", "a man or a CAR", "or CAR"])
def test_no_negation(sentence):
    assert not is_negated(place(sentence))


def test_modifiers():
    assert is_modifier(place("a BUS stop"), a_thing_follows=False)
    assert is_modifier(place("TRAIN tracks"), a_thing_follows=False)
    assert is_modifier(place("two CAKE recipes"), a_thing_follows=False)
    assert is_modifier(place("two BUS stops"), a_thing_follows=False)
    assert is_modifier(place("a BABY elephant"), a_thing_follows=True)


def test_no_modifiers():
    assert not is_modifier(place("a BUS stops"), a_thing_follows=False)
    assert not is_modifier(place("a CAR door"), a_thing_follows=False)
    assert not is_modifier(place("two DOGS house"), a_thing_follows=False)
    assert not is_modifier(place("a cat and a DOG box"), a_thing_follows=False)  # the verb of both
    assert not is_modifier(place("two SHEEP stand"), a_thing_follows=False)
    assert not is_modifier(place("a MOTORCYCLE rider"), a_thing_follows=True)
    assert not is_modifier(place("SHE boats"), a_thing_follows=True)
