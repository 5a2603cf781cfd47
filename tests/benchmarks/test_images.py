import pytest

from jobs.benchmarks.images import bare, benchmark, one_worker
from jobs.machine import cores
from t2ipal.errors import UserError
from tests.recipes import tiny_recipe
from tests.tiny_pipelines import save_pipeline, stable_diffusion


@pytest.fixture(scope="module")
def painter(tmp_path_factory):
    return save_pipeline("stable-diffusion", tmp_path_factory.mktemp("painter"))


def recipe_of(painter, **images):
    return tiny_recipe(images={"model": painter, "batch": 2, "shard_rows": 2, **images})


def paint_bare(recipe, rows=4):
    return bare(one_worker(recipe, rows).model_dump(mode="json"))["seconds_per_row"]


def test_a_round_is_of_whole_batches_each_painted_once_by_one_worker(painter):
    asked = {"per_caption": 2, "captions": 4, "batch": 4, "shard_rows": 6, "redraws": 3}
    recipe = one_worker(recipe_of(painter, workers={"min": 2, "max": 3}, **asked), 9)
    images = recipe.images
    assert (images.per_caption, images.captions, images.redraws) == (1, None, 0)
    assert images.shard_rows == recipe.captions.shard_rows == 8
    assert recipe.captions.count == 16
    assert (images.workers.min, images.workers.max, images.workers.cpus) == (1, 1, cores())
    annotated = tiny_recipe(captions=None, annotated_captions={"path": "unused"})
    with pytest.raises(UserError, match="no section captions"):
        one_worker(annotated, 9)


def test_plain_diffusers_gets_what_the_recipe_says(painter):
    asked = {"guidance": None, "negative_prompt": "rain", "decoding": "slices", "options": {"eta": 0.5}}
    assert paint_bare(recipe_of(painter, **asked)) > 0
    with pytest.raises(UserError, match=r"images\.options\.eto: .* did you mean eta"):
        paint_bare(recipe_of(painter, options={"eto": 0.5}))


def test_plain_diffusers_loads_the_variant_of_the_weights(tmp_path):
    stable_diffusion().save_pretrained(tmp_path, variant="fp16")
    assert paint_bare(recipe_of(str(tmp_path), variant="fp16")) > 0


@pytest.mark.slow
@pytest.mark.whole_job
def test_the_stage_beside_plain_diffusers(painter):
    report = benchmark(recipe_of(painter), rows=6, rounds=1)
    assert report.settings["rows"] == 6
    figures = report.figures
    (bare_s,), (stage_s,) = figures["bare_s_per_row"], figures["stage_s_per_row"]
    assert figures["ratio_to_bare"] == bare_s / stage_s > 0
