"""Rows of labels, by a tiny recognizer in this process."""

import io

import pytest

from t2ipal import Recognizer
from t2ipal.images.codec import decode
from t2ipal.labelling.export import export
from t2ipal.labelling.labeller import Labeller
from t2ipal.labelling.plan import TABLE, Labelling
from t2ipal.store import Store
from t2ipal.tables import LABELLED
from tests.finished_bundle import bundle_in
from tests.serve.http import noise, png
from tests.serve.odd_files import files


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return bundle_in(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for file in files():
        (folder / file.name).write_bytes(file.data)
    for seed in range(3):
        (folder / f"noise-{seed}.png").write_bytes(png(noise(seed)))
    return folder


def labelling(images, bundle, **settings):
    recognizer = Recognizer.load(bundle)
    return Labelling(
        images=str(images), version=recognizer.version, classes=recognizer.classes, at_once=1, **settings
    )


@pytest.fixture(scope="module")
def table(images, bundle):
    names = [file.name for file in files()] + ["gone.png"]
    return Labeller(labelling(images, bundle), bundle, "cpu")(names)


def test_every_file_has_a_row_and_broken_ones_their_reason(table):
    assert table.schema.equals(LABELLED)
    rows = {row["image"]: row for row in table.to_pylist()}
    for file in files():
        row = rows[file.name]
        assert (row["error"] is None) == (file.status == 200), row
        assert len(row["scores"]) == (3 if file.status == 200 else 0)
        if file.size is not None:
            assert (row["width"], row["height"]) == file.size
    assert rows["gone.png"]["error"] == "the file is gone"
    assert "pixels" in rows["huge-header.png"]["error"]


def test_the_rows_are_what_the_recognizer_says_to_the_last_bit(images, bundle):
    recognizer = Recognizer.load(bundle, at_once=1)
    (expected,) = recognizer.predict([decode(png(noise(1)))])
    names = [f"noise-{seed}.png" for seed in range(3)]
    _, row, _ = Labeller(labelling(images, bundle), bundle, "cpu")(names).to_pylist()
    assert row["scores"] == list(expected.scores.values())
    assert [label["name"] for label in row["labels"]] == [label.name for label in expected.labels]
    assert [tuple(label["box"]) for label in row["labels"]] == [label.where.box for label in expected.labels]


def test_options_choose_the_labels(images, bundle):
    settings = labelling(images, bundle, threshold=0.0, top_k=2, names=("teddy bear",))
    (row,) = Labeller(settings, bundle, "cpu")(["noise-0.png"]).to_pylist()
    assert len(row["labels"]) == 2
    assert len(row["scores"]) == 4


def test_labels_as_json_lines_and_in_cocos_format(images, bundle, tmp_path):
    import json

    settings = labelling(images, bundle)
    out = Store.open(str(tmp_path / "out"))
    names = ["noise-0.png", "text.png", "plain.jpeg"]
    out.shards(TABLE).write("labels-00000", Labeller(settings, bundle, "cpu")(names))
    rows = out.shards(TABLE).read("labels-00000").to_pylist()

    lines = out.read_bytes(export(out, settings, ["labels-00000"], "jsonl")).decode().splitlines()
    first, second, third = (json.loads(line) for line in lines)
    assert first["scores"] == dict(zip(("fish", "house", "tree"), rows[0]["scores"], strict=True))
    assert first["labels"] == rows[0]["labels"]
    assert "known format" in second["error"]
    assert third["image"] == "plain.jpeg"

    coco = json.load(io.BytesIO(out.read_bytes(export(out, settings, ["labels-00000"], "coco"))))
    assert [image["file_name"] for image in coco["images"]] == ["noise-0.png", "plain.jpeg"]
    assert list(coco["info"]["broken"]) == ["text.png"]
    assert [category["name"] for category in coco["categories"]] == ["fish", "house", "tree"]
    labels = [(1, label) for label in rows[0]["labels"]] + [(2, label) for label in rows[2]["labels"]]
    assert [each["image_id"] for each in coco["annotations"]] == [number for number, _ in labels]
    for annotation, (number, label) in zip(coco["annotations"], labels, strict=True):
        image = coco["images"][number - 1]
        left, _top, right, _bottom = label["box"]
        assert annotation["bbox"][0] == pytest.approx(left * image["width"])
        assert annotation["bbox"][2] == pytest.approx((right - left) * image["width"])
        assert annotation["score"] == label["score"]
