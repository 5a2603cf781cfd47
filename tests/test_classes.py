from pathlib import Path

import pytest

from jobs.classes import class_names
from jobs.pipeline import main
from t2ipal.errors import UserError
from t2ipal.recipe import load_recipe

OFFLINE = Path(__file__).parents[1] / "jobs" / "recipes" / "offline.yaml"


def test_names_of_a_line():
    assert class_names("forklift, pallet,hard hat") == {"forklift": [], "pallet": [], "hard hat": []}
    assert class_names("cat") == {"cat": []}


def test_names_of_files(tmp_path):
    text, plain, yaml = (tmp_path / name for name in ("classes.txt", "classes", "classes.yaml"))
    text.write_text("\ufeff# of the yard\nforklift\n\n  hard hat  \n", encoding="utf-8")
    plain.write_text("pallet\n")
    yaml.write_text("forklift: [fork truck]\npallet:\n")
    assert class_names(str(text)) == {"forklift": [], "hard hat": []}
    assert class_names(str(plain)) == {"pallet": []}
    assert class_names(str(yaml)) == {"forklift": ["fork truck"], "pallet": []}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "an empty name"),
        ("cat,,dog", "an empty name"),
        ("cat, dog, Cat", "'Cat' is listed twice"),
        ("nowhere.txt", "cannot read the classes 'nowhere.txt'"),
        ("nowhere.yaml", "cannot read the vocabulary 'nowhere.yaml'"),
    ],
)
def test_what_is_no_list_of_classes(text, why):
    with pytest.raises(UserError) as error:
        class_names(text)
    assert why in str(error.value)


def test_a_file_without_a_class(tmp_path):
    file = tmp_path / "classes.txt"
    file.write_text("# none yet\n")
    with pytest.raises(UserError, match="no classes"):
        class_names(str(file))


def test_they_take_the_place_of_the_recipes():
    recipe = load_recipe(OFFLINE, {"cat": ["kitten"], "boat": []})
    assert recipe.vocabulary == {"cat": ("kitten",), "boat": ()}
    assert recipe.settings()["vocabulary"] == {"cat": ["kitten"], "boat": []}


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("cat, boat, cat", "'cat' is listed twice"),
        ("", "an empty name"),
        (
            ", ".join(f"thing number {i}" for i in range(99)) + ", thing number 7",
            "'thing number 7' is listed",
        ),
    ],
)
def test_the_job_refuses_what_is_no_list_of_classes(capsys, given, why):
    assert main(["--classes", given]) == 2
    assert why in capsys.readouterr().err
