"""Each full-size recipe goes its whole way on a tiny folder in the official layout.

Models, sizes and the source of captions are exchanged for tiny ones; what the recipe says of its data set,
and the code that reads it, stay. Stages run in this process.
"""

import math
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from t2ipal import Recognizer
from t2ipal.images.plan import image_shards
from t2ipal.recipe import load_recipe
from t2ipal.run_files import METRICS
from t2ipal.stages import bundle, captions, compare, evaluate, features, images, tune
from t2ipal.stages.images import ShardPainter
from t2ipal.store import Store
from t2ipal.vocabulary import Vocabulary
from tests.finished_images import compute_features
from tests.layouts import Photo, write_captions, write_coco, write_narratives, write_nus_wide, write_voc

RECIPES = Path(__file__).parents[1] / "jobs" / "recipes"

# An image without any label, one with several, and classes that no image holds.
HELD = (("dog",), ("dog", "cat"), (), ("cat",), ("car", "dog"), ("car",))


def photos(difficult=(), car="car"):
    held = [[car if label == "car" else label for label in labels] for labels in HELD]
    return [Photo(labels, difficult=difficult if number == 0 else ()) for number, labels in enumerate(held)]


def write_voc2007(folder, names):
    root = folder / "VOCdevkit" / "VOC2007"
    write_voc(root, "test", photos(difficult=["person"]))
    write_voc(root, "trainval", photos(), start=100)
    path = folder / "captions.json"
    write_captions(path, enumerate(sentences()))
    return path


def write_coco2014(folder, names):
    for split in ("val2014", "train2014"):
        write_coco(folder / "coco2014", split, photos(), names)
    path = folder / "captions.json"
    write_captions(path, enumerate(sentences()))
    return path


def write_nuswide(folder, names):
    for part in ("Test", "Train"):
        write_nus_wide(folder / "nuswide", part, photos(car="cars"), names)
    path = folder / "nuswide" / "open_images_train_v6_captions.jsonl"
    write_narratives(path, ((f"{number:016x}", text) for number, text in enumerate(sentences())))
    return path


def sentences():
    """Captions of people: some name no class, one is not ASCII."""
    some = ["a dog runs", "a cat and a dog sleep", "two cars on a street", "nothing here", "un café, a cat"]
    return some * 4


def tiny(name, folder):
    """Write the recipe beside its data, with tiny models; return its path."""
    recipe = yaml.safe_load((RECIPES / f"{name}.yaml").read_text())
    classes = Vocabulary.load(str(RECIPES.parent / "vocabularies" / Path(recipe["vocabulary"]).name))
    path = {"voc2007": write_voc2007, "coco2014": write_coco2014, "nuswide": write_nuswide}[name](
        folder, [each.replace(" ", "") if name == "voc2007" else each for each in classes.names]
    )
    recipe["vocabulary"] = str(RECIPES.parent / "vocabularies" / Path(recipe["vocabulary"]).name)
    recipe.pop("captions", None)
    source = recipe.setdefault("annotated_captions", {"path": f"./{path.relative_to(folder)}"})
    assert (folder / source["path"]).is_file()
    source["shard_rows"] = 8
    recipe["images"] |= {"model": "picturebook:painter", "size": 32, "steps": 1, "scheduler": None}
    recipe["images"] |= {"dtype": "float32", "workers": {}}
    recipe["backbone"] = {"model": "picturebook:clip"}
    recipe["features"] = {}
    schedule = {"epochs": 1, "batch": 8}
    recipe.setdefault("methods", {}).setdefault("t2i_pal", {}).update(context=4, schedule=schedule)
    recipe["tune"] |= {"workers": 0, "gpu": False}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return folder / "recipe.yaml"


def paint(recipe, store):
    """Do the work of the stage images in this process."""
    painter = ShardPainter(recipe.images, recipe.seed, store)
    done = store.shards("captions").done()
    for shard in image_shards(done, recipe.images):
        painter(asdict(shard))


@pytest.mark.parametrize(
    ("name", "other_split", "count"),
    [("voc2007", "test", 6), ("coco2014", "val2014", 6), ("nuswide", "test_filtered", 5)],
)
def test_the_whole_path(name, other_split, count, tmp_path):
    recipe = load_recipe(tiny(name, tmp_path))
    store = Store.open(str(tmp_path / "run"))
    store.claim(recipe)
    assert captions.run(recipe, store).rows == 16  # every fifth names no class
    paint(recipe, store)
    assert images.pending(recipe, store) == []
    compute_features(recipe, store)
    for stage in (features, tune, evaluate, bundle):
        stage.run(recipe, store)
    assert bundle.pending(recipe, store) == []

    figures = store.read_json(METRICS)
    assert figures["images"] == len(HELD)
    for method in figures["methods"].values():
        assert 0 <= method["mAP"]["mean"] <= 100
        held = {each for each, value in method["per_class"].items() if value is not None}
        assert held == {"dog", "cat", "cars" if name == "nuswide" else "car"}
        assert ("mAP_without_difficult" in method) == (name == "voc2007")
    recognizer = Recognizer.load(f"{store.uri}/bundle")
    (answer,) = recognizer.predict([photos()[0].image])
    assert all(math.isfinite(score) for score in answer.scores.values())
    assert len(answer.scores) == len(Vocabulary.load(recipe.vocabulary))

    out = Store.open(str(tmp_path / "out"))
    other = recipe.with_evaluate(split=other_split)
    out.claim(other, ("test_features", "train_features"))
    tables = compare.tables(["supervised"])
    compute_features(other, out, tables)
    plan = compare.entries(other, store, out, ["supervised", "zero_shot"], seeds=1)
    for entry in plan:
        compare.complete_here([entry])
    table = compare.summary(plan, other, out)
    assert table["images"] == count
    assert set(table["methods"]) == {"supervised", "zero_shot"}
