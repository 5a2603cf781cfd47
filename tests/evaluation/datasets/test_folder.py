import json

import pytest
from PIL import Image

from t2ipal.errors import UserError
from t2ipal.evaluation.datasets import open_dataset
from t2ipal.vocabulary import Vocabulary
from tests.layouts import Photo, write_instances, write_voc

CATS = Vocabulary(("cat", "dog"), (("kitten",), ()))
CSV = "image,labels\na.png,Kitten;dog\nsub/b.png,\n"
JSONL = '{"image": "a.png", "labels": ["Kitten", "dog"]}\n\n{"image": "sub/b.png", "labels": []}\n'


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("a.png", "sub/b.png"):
        Image.new("L", (3, 5)).save(tmp_path / name)
    return tmp_path


def labels(folder, split="test"):
    dataset = open_dataset(str(folder), split, CATS)
    return {dataset.name(i): dataset.labels(i) for i in range(len(dataset))}


@pytest.mark.parametrize("split", ["test", "train"])
@pytest.mark.parametrize(("suffix", "content"), [("csv", CSV), ("jsonl", JSONL), ("csv", "\ufeff" + CSV)])
def test_a_file_of_labels(folder, split, suffix, content):
    (folder / f"{split}.{suffix}").write_text(content, encoding="utf-8")
    assert labels(folder, split) == {"a.png": (0, 1), "sub/b.png": ()}
    dataset = open_dataset(str(folder), split, CATS)
    assert (dataset.image(0).mode, dataset.image(0).size) == ("RGB", (3, 5))
    assert dataset.ignored(0) == ()


def test_a_file_as_coco_writes_it(folder):
    photos = [Photo(["dog"], crowd=["kitten"]), Photo()]
    write_instances(folder / "test.json", ["a.png", "sub/b.png"], photos, ["kitten", "dog", "unused"])
    assert labels(folder) == {"a.png": (0, 1), "sub/b.png": ()}


def test_other_tools_have_ids_that_are_text(folder):
    content = {
        "images": [{"id": "one", "file_name": "a.png"}],
        "annotations": [{"image_id": "one", "category_id": "c"}],
        "categories": [{"id": "c", "name": "cat"}],
    }
    (folder / "test.json").write_text(json.dumps(content))
    assert labels(folder) == {"a.png": (0,)}


def test_a_file_of_the_users_own_comes_before_an_official_layout(folder):
    write_voc(folder, "test", [Photo(["cat"])])
    (folder / "test.csv").write_text(CSV)
    assert labels(folder) == {"a.png": (0, 1), "sub/b.png": ()}
    (folder / "test.csv").unlink()
    assert labels(folder) == {"000001.jpg": (0,)}


def test_a_path_and_a_label_with_signs_of_the_format(folder):
    Image.new("L", (3, 5)).save(folder / "a, b.png")
    (folder / "test.csv").write_text('labels,image\n cat ; ,"a, b.png"\n')
    assert labels(folder) == {"a, b.png": (0,)}


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("test.csv", b"image,labels\na.png,cat;cow\n", r"test\.csv, line 2: the label 'cow'"),
        ("test.csv", b"file,classes\na.png,cat\n", r"columns \['file', 'classes'\]"),
        ("test.csv", b"", "columns None"),
        ("test.csv", b"image,labels\n", "lists no images"),
        ("test.csv", b"image,labels\na.png,cat,dog\n", "line 2 has more values"),
        ("test.csv", b"image,labels\n,cat\n", "line 2 has no image path"),
        ("test.csv", b"labels,image\ncat\n", "line 2 has no image path"),
        ("test.csv", b'image,labels\n"a.png,cat\n', "line 2 is not readable as CSV"),
        ("test.csv", b"image,labels\na.png,cat\nk\xe4fer.png,cat\n", r"test\.csv, line 3 is not UTF-8"),
        ("test.csv", b"image,labels\na.png,\n./a.png,cat\n", r"line 3: the image './a\.png' is listed for"),
        ("test.csv", b"image,labels\na.png,\nc.png,cat\nsub/d.png,\n", r"lists 2 images .*'c\.png' for one"),
        ("test.jsonl", b'{"image": "a.png", "labels": ["cat"]}\n{"image": 1}\n', "line 2 .*got `int`"),
        ("test.jsonl", b'{"image": "a.png", "labels": "cat"}\n', "line 1 .*Expected `array`"),
        ("test.jsonl", b'{"image": "a.png", "labels": ["cat"', "line 1 .*truncated"),
        ("test.jsonl", b'{"image": "a.png", "labels": ["\xff"]}', "line 1 is not UTF-8"),
        ("test.json", b"", r"test\.json is empty"),
        ("test.json", b'{"images": []}', "missing required field `annotations`"),
        ("other.csv", CSV.encode(), r"(?s)no test set at .*test\.csv, test\.jsonl or test\.json"),
    ],
)
def test_what_is_wrong_is_said(folder, name, content, problem):
    (folder / name).write_bytes(content)
    with pytest.raises(UserError, match=problem):
        labels(folder)


@pytest.mark.parametrize("share", [0, 0.01, 0.5])
def test_a_damaged_image_is_named_when_it_is_decoded(folder, share):
    (folder / "test.csv").write_text(CSV)
    path = folder / "sub" / "b.png"
    Image.effect_noise((64, 64), 50).save(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    dataset = open_dataset(str(folder), "test", CATS)
    dataset.image(0)
    with pytest.raises(UserError, match=r"cannot read the image .*sub/b\.png"):
        dataset.image(1)
