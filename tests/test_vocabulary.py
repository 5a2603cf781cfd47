import pickle
from pathlib import Path

import pytest

from t2ipal.errors import UserError
from t2ipal.vocabulary import Vocabulary

VOCABULARY = Vocabulary.load(
    {
        "person": ["man", "woman"],
        "bear": [],
        "teddy bear": ["teddy"],
        "bus": [],
        "knife": [],
        "cherry": [],
        "tomato": [],
        "hot dog": [],
        "dog": [],
        "bowl": [],
    }
)


@pytest.mark.parametrize(
    ("sentence", "names"),
    [
        ("A dog sits by a bowl.", ["dog", "bowl"]),
        ("Two DOGS and three Buses", ["bus", "dog"]),
        ("a teddy bear", ["teddy bear"]),  # used up: not also a bear
        ("a teddy bear and a bear", ["bear", "teddy bear"]),
        ("a hot  dog", ["hot dog"]),
        ("a hot-dog", ["hot dog"]),
        ("hot dogs for the dog", ["hot dog", "dog"]),
        ("the man's knives, with cherries and tomatoes", ["person", "knife", "cherry", "tomato"]),
        ("three women and other people", ["person"]),
        ("a dogma, a bulldog, a bowler", []),  # whole words only
        ("a dog-like shape", []),
        ("", []),
    ],
)
def test_labels(sentence, names):
    expected = tuple(sorted(VOCABULARY.index(name) for name in names))
    assert VOCABULARY.labels(sentence) == expected


def test_a_class_of_its_own_wins_over_the_plural_of_another():
    vocabulary = Vocabulary.load(["glass", "glasses"])
    assert vocabulary.labels("a pair of glasses") == (1,)
    assert vocabulary.labels("a glass") == (0,)


def test_names_with_signs_of_regular_expressions():
    assert Vocabulary.load(["c++ book"]).labels("a c++ book.") == (0,)


def test_survives_pickling_and_mapping():
    assert VOCABULARY.labels("a dog") == (VOCABULARY.index("dog"),)  # the matcher is there and goes along
    copy = pickle.loads(pickle.dumps(VOCABULARY))
    assert copy == VOCABULARY
    assert copy.labels("a dog") == VOCABULARY.labels("a dog")
    assert Vocabulary.load(VOCABULARY.mapping()) == VOCABULARY


def test_index_of_an_unknown_class():
    with pytest.raises(KeyError, match="zebra"):
        VOCABULARY.index("zebra")


@pytest.mark.parametrize(
    ("text", "names"),
    [("- cat\n- dog\n", ("cat", "dog")), ("cat: [kitten]\ndog:\n", ("cat", "dog"))],
)
def test_reads_a_yaml_file(tmp_path, text, names):
    path = tmp_path / "classes.yaml"
    path.write_text(text)
    assert Vocabulary.load(str(path)).names == names


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({}, "no classes"),
        ([], "no classes"),
        (None, "None"),
        (["cat", "Cat"], "listed twice"),
        (["hot dog", "hot_dog"], "listed twice"),
        (["catcher's mitt", "catcher\u2019s mitt"], "listed twice"),
        (["cat", " "], "empty name"),
        (["cat", "_"], "empty name"),
        ({"cat": ["pet"], "dog": ["pet"]}, "'pet' stands for two classes: 'cat' and 'dog'"),
        ({"cat": ["dog"], "dog": []}, "'dog' stands for two classes"),
        (["cat", False], '(?s)False is not text, but what YAML reads in .*no.* put it in quotes .*"no"'),
        (["cat", 911], "911 is not text, but a number"),
        (["cat", None], "None is not text, but what YAML reads in an empty entry"),
        ({"cat": [True]}, "True is not text"),
        ({"cat": False}, "the synonyms of 'cat' are False"),
        ({False: []}, "False is not text"),
        ({"cat": "kitten"}, "synonyms of 'cat'"),
    ],
)
def test_bad_lists_are_refused(spec, problem):
    with pytest.raises(UserError, match=problem):
        Vocabulary.load(spec)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("cat: []\ncat: []\n", "'cat' occurs twice"),
        ("cat: [", "not valid YAML"),
        ("? [a]\n: []", "not valid YAML"),
    ],
)
def test_bad_files_are_refused(tmp_path, text, problem):
    path = tmp_path / "classes.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=problem):
        Vocabulary.load(str(path))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        Vocabulary.load(str(tmp_path / "nowhere.yaml"))


def test_the_shipped_coco_classes():
    path = Path(__file__).parents[1] / "jobs" / "vocabularies" / "coco.yaml"
    vocabulary = Vocabulary.load(str(path))
    assert len(vocabulary) == 80
    sentence = "Two men ride motorbikes past a fire hydrant; a puppy watches beside a pair of scissors"
    names = [vocabulary.names[i] for i in vocabulary.labels(sentence)]
    assert names == ["person", "motorcycle", "fire hydrant", "dog", "scissors"]
