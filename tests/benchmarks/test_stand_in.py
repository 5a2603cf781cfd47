from dataclasses import asdict

from jobs.benchmarks.stand_in import WORKER, stand_in
from t2ipal.images.plan import image_shards
from t2ipal.stages import images
from t2ipal.stages.images import ShardPainter
from tests.painted_run import begun
from tests.recipes import tiny_recipe
from tests.tiny_models import save_painter


def test_a_stand_in_tells_the_stage_what_a_painter_does(tmp_path):
    save_painter(tmp_path / "painter")
    recipe = tiny_recipe(images={"model": str(tmp_path / "painter")})
    told, extras = [], []
    for worker in (ShardPainter, stand_in(0.0)):
        store = begun(str(tmp_path / worker.__name__), recipe)
        (shard, *_) = image_shards(store.shards("captions").done(), recipe.images)
        told.append(worker(recipe.images, recipe.seed, store)(asdict(shard)))
        extras.append(store.shards("images").done()[shard.name].extra)
        assert shard.name not in images.pending(recipe, store)
    assert told[0].keys() == told[1].keys()
    counted = [{name: each[name] for name in each if name not in ("worker", "painting_s")} for each in told]
    assert counted[0] == counted[1]
    assert {*extras[1]} == {WORKER, "captions", "captions_sha256"}
