"""Several views of each synthetic image in the table of features."""

import pytest

from jobs.verify import main as verify
from t2ipal.clip.feature_tables import read_images
from t2ipal.clip.views import draw_view
from t2ipal.evaluation import fitted
from t2ipal.images.codec import decode
from t2ipal.stages import features
from t2ipal.tuning.load import load_tuning_set
from t2ipal.tuning.source import SYNTHETIC, is_crop, is_held_out
from tests.finished_images import compute_features, finished_images
from tests.tiny_clip import tiny_backbone
from tests.whole_table import read_all


@pytest.fixture(scope="module")
def viewed(tmp_path_factory):
    """A run with three views of each image, the filter that looks at each of them included."""
    recipe, store = finished_images(
        tmp_path_factory.mktemp("views"),
        features={"views": 3, "least_area": 0.3},
        images={"agreement": {"lowest": 0.2}},
    )
    compute_features(recipe, store)
    features.run(recipe, store)  # judges
    return recipe, store


def test_every_view_is_a_row_with_its_own_features(viewed):
    recipe, store = viewed
    rows = read_all(store.shards("features"))
    names = rows["image_id"].to_pylist()
    assert len(names) == 3 * 46
    assert names[:4] == ["c00000000-0", "c00000000-0@1", "c00000000-0@2", "c00000000-1"]
    image = decode(read_all(store.shards("images"))["image"][0].as_py())
    views = [
        image,
        draw_view(image, names[1], 0.3, recipe.seed),
        draw_view(image, names[2], 0.3, recipe.seed),
    ]
    expected = tiny_backbone("resnet").images(views)
    assert read_images(rows)[0][:3].float() == pytest.approx(expected.whole.numpy(), abs=2e-3)
    assert [row["labels"] for row in rows.select(["labels"]).to_pylist()[:3]] == [
        read_all(store.shards("images"))["labels"][0].as_py()
    ] * 3


def test_tuning_learns_from_the_views_that_agree_and_fits_thresholds_on_whole_images(viewed, monkeypatch):
    recipe, store = viewed
    verdicts = read_all(store.shards("agreement")).to_pylist()
    kept = [row["image_id"] for row in verdicts if row["kept"]]
    assert any(is_crop(row["image_id"], SYNTHETIC) for row in verdicts if not row["kept"])
    tuned_on = [name for name in kept if not is_held_out(name.rpartition("-")[0], recipe)]
    data = load_tuning_set(recipe, store, SYNTHETIC, tiny_backbone("resnet"), False)
    assert len(data.images.labels) == len(tuned_on) > 46

    scored = []

    class Scored(Exception):
        pass

    def score_table(method, classes, shards, names, which):
        scored.extend(which)
        raise Scored

    monkeypatch.setattr(fitted, "score_table", score_table)
    with pytest.raises(Scored):
        fitted.fit(recipe, store, None, SYNTHETIC)
    names = read_all(store.shards("features"))["image_id"].to_pylist()
    found = [name for name, chosen in zip(names, scored, strict=True) if chosen]
    assert found == [n for n in kept if "@" not in n and is_held_out(n.rpartition("-")[0], recipe)]
    assert found


def test_images_are_chosen_with_all_their_views(viewed):
    recipe, store = viewed
    whole = recipe.model_copy(update={"images": recipe.images.model_copy(update={"agreement": None})})
    few = whole.model_copy(update={"tune": recipe.tune.model_copy(update={"images_per_class": 2})})
    data = load_tuning_set(few, store, SYNTHETIC, tiny_backbone("resnet"), False)
    shown = data.images.labels.sum(dim=0)
    assert (shown % 3 == 0).all()
    assert (shown >= 3 * 2).all()
    assert len(data) <= 3 * 2 * 3  # views, images and classes


def test_verification_expects_every_view(viewed, capsys):
    _, store = viewed
    verify([store.uri])  # whose images have no checksums
    assert "features/" not in capsys.readouterr().out
    shard = next(iter(store.shards("features").done()))
    table = store.shards("features").read(shard)
    manifest = store.shards("features").done()[shard]
    try:
        store.shards("features").write(shard, table.slice(0, table.num_rows - 1), manifest.extra)
        assert verify([store.uri]) == 1
        assert f"features/{shard}: it has {table.num_rows - 1} rows" in capsys.readouterr().out
    finally:
        store.shards("features").write(shard, table, manifest.extra)
