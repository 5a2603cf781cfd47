import pytest

from t2ipal.report import painted as module
from t2ipal.report.painted import synthetic_of
from t2ipal.report.texts import captions_of, spread_over
from t2ipal.run_files import CAPTION_REPORT
from t2ipal.tuning.source import AGREEMENT
from tests.finished_images import NAMES
from tests.recipes import tiny_recipe
from tests.whole_table import read_all


def test_images_of_each_class_with_their_captions_and_reasons(finished):
    recipe, store = finished
    found = synthetic_of(recipe, store)
    rows = read_all(store.shards("images")).to_pylist()
    verdicts = {row["image_id"]: row for row in read_all(store.shards(AGREEMENT)).to_pylist()}
    assert found.images == len(rows)
    assert found.left_out == sum(not row["kept"] for row in verdicts.values()) > 0
    assert [each.name for each in found.classes] == list(NAMES)
    for each in found.classes:
        assert all(f"a {each.name}" in image.caption for image in each.images)
        kept = [image for image in each.images if not image.reason]
        assert each.images[: len(kept)] == tuple(kept)  # first
        assert 1 < len(kept) <= 8
        assert all(image.picture.alt.endswith("kept") for image in kept)
    reasons = {image.reason for each in found.classes for image in each.images}
    assert reasons == {"", "test", "similarity to its caption is among the lowest 20 %"}


def test_what_could_not_be_painted_has_no_picture(painted):
    recipe, store = painted
    shards = store.shards("images")
    for name, manifest in shards.done().items():
        table = shards.read(name)
        gone = {"image": b"", "width": 0, "height": 0, "kept": False, "reason": "refused"}
        rows = [row | gone for row in table.to_pylist()]
        shards.write(
            name, table.from_pylist(rows, schema=table.schema), manifest.extra | {"refused": len(rows)}
        )
    found = synthetic_of(recipe, store)
    assert found.not_painted == found.images
    images = [image for each in found.classes for image in each.images]
    assert images
    assert all(image.picture is None and image.reason == "refused" for image in images)


def test_of_many_classes_each_has_few_images(painted, monkeypatch):
    monkeypatch.setattr(module, "PICTURES", 6)
    classes = synthetic_of(*painted).classes
    assert all(1 <= len(each.images) <= 2 for each in classes)


def test_a_run_without_images(store):
    recipe = tiny_recipe()
    store.claim(recipe)
    assert synthetic_of(recipe, store) is None
    assert captions_of(store, NAMES) is None


def test_captions_with_their_labels_and_what_became_of_them(finished):
    _, store = finished
    found = captions_of(store, NAMES)
    rows = read_all(store.shards("captions")).to_pylist()
    assert found.kept == len(rows) == 24
    assert found.rejected == len(store.shards("captions").done())
    counts = store.read_json(CAPTION_REPORT)["classes"].values()
    assert (found.fewest, found.most) == (min(counts), max(counts))
    labels = {row["text"]: tuple(NAMES[c] for c in row["labels"]) for row in rows}
    assert len(found.samples) == 12
    assert all(labels[each.text] == each.labels for each in found.samples)
    shown = [sum(name in each.labels for each in found.samples) for name in NAMES]
    assert max(shown) - min(shown) <= 1


@pytest.mark.parametrize("count", [1, 3, 4, 9, 100])
def test_shards_that_are_looked_at_are_spread_over_all(count):
    names = [f"shard-{i}" for i in range(count)]
    chosen = spread_over(names, 4)
    assert 1 <= len(chosen) <= 4
    assert chosen[0] == names[0]
    assert len(chosen) == count or len(chosen) > 1
