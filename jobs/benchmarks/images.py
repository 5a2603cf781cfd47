"""The images stage, beside a loop of plain diffusers with the same captions, batches, steps and threads."""

import tempfile
import time
from functools import partial
from typing import Any

import pyarrow as pa

from jobs.benchmarks.commits import commits, seconds_per_row
from jobs.benchmarks.process import in_effect, measured, serve
from jobs.benchmarks.report import Report, from_here
from jobs.benchmarks.rounds import by_turns
from jobs.checks import check_models, models_are_local
from jobs.machine import cores
from jobs.pipeline import DEFAULT_RECIPE
from jobs.ray_session import RaySession
from t2ipal.captions.plan import CaptionPlan
from t2ipal.captions.prompt import join_names
from t2ipal.errors import UserError
from t2ipal.recipe import Recipe, load_recipe
from t2ipal.seeds import derive_seed
from t2ipal.stages import images
from t2ipal.store import Store
from t2ipal.tables import CAPTIONS
from t2ipal.vocabulary import Vocabulary

COMMAND = "images"
RECIPE = DEFAULT_RECIPE
ROWS = 768
MODULE = "jobs.benchmarks.images"


def default_recipe() -> Recipe:
    """Return that of the main job's default."""
    return load_recipe(RECIPE)


def benchmark(recipe: Recipe, rows: int, rounds: int) -> Report:
    """Compare the stage with plain diffusers on at least `rows` images a round."""
    recipe = one_worker(recipe, rows)
    check_models(recipe, {COMMAND: ["all"]})
    given = {"recipe": recipe.model_dump(mode="json")}
    # Both compute with as many threads: Ray would give its worker as many as the CPUs that it asks for.
    threads = {"OMP_NUM_THREADS": str(cores())}

    def side(measure: str) -> float:
        return float(measured(MODULE, measure, given, threads)["seconds_per_row"])

    found = by_turns(partial(side, "bare"), partial(side, "stage"), rounds)
    settings = {
        "model": from_here(recipe.images.model),
        "rows": len(CaptionPlan.of(recipe).shards()) * recipe.images.shard_rows,
        "batch": recipe.images.batch,
        "shard_rows": recipe.images.shard_rows,
        "steps": recipe.images.steps,
        "size": recipe.images.size,
        "dtype": recipe.images.dtype,
        "device": _device(recipe),
        "threads": cores(),
        "environment": in_effect(threads),  # of both
        "rounds": rounds,
    }
    return Report(COMMAND, settings, found.figures(), found.table("plain diffusers"))


def one_worker(recipe: Recipe, rows: int) -> Recipe:
    """Return the recipe with one worker that has all cores, and at least `rows` images in whole batches, each
    painted once.
    """
    if recipe.captions is None:
        raise UserError("the recipe has no section captions, whose plan is painted", "give another recipe")
    batch = recipe.images.batch
    shard_rows = -(-recipe.images.shard_rows // batch) * batch
    shards = max(2, -(-rows // shard_rows))  # of whole ones, and the first one warms up
    workers = recipe.images.workers.model_copy(update={"min": 1, "max": 1, "cpus": float(cores())})
    painted = {"per_caption": 1, "captions": None, "shard_rows": shard_rows, "workers": workers, "redraws": 0}
    asked = {"count": shards * shard_rows, "shard_rows": shard_rows}
    return recipe.model_copy(
        update={
            "images": recipe.images.model_copy(update=painted),
            "captions": recipe.captions.model_copy(update=asked),
            "ray": recipe.ray.model_copy(update={"num_cpus": cores()}),
        }
    )


def texts(recipe: Recipe, shard: str) -> list[dict[str, Any]]:
    """Return the rows of a shard of captions, written without a language model."""
    plan, names = CaptionPlan.of(recipe), Vocabulary.load(recipe.vocabulary).names
    return [
        {
            "caption_id": f"c{row:08d}",
            "text": f"a picture of {join_names([names[i] for i in plan.classes(row)])}",
            "labels": sorted(plan.classes(row)),
            "requested": sorted(plan.classes(row)),
            "source": "benchmark",
            "model": "",
            "seed": 0,
        }
        for row in plan.rows(shard)
    ]


def with_captions(recipe: Recipe, folder: str) -> Store:
    """Return a run whose captions are written."""
    store = Store.open(folder)
    store.claim(recipe)
    for shard in CaptionPlan.of(recipe).shards():
        table = pa.Table.from_pylist(texts(recipe, shard), schema=CAPTIONS)
        store.shards(images.CAPTIONS).write(shard, table)
    return store


def stage(recipe: dict[str, Any]) -> dict[str, Any]:
    """Measure the stage from the commit of its first shard to that of its last."""
    given = Recipe.model_validate(recipe)
    with tempfile.TemporaryDirectory() as folder, RaySession(given.ray, models_are_local(given)) as session:
        store = with_captions(given, folder)
        session.start()
        images.run(given, store)
        times = list(commits(store.shards(images.STAGE)).values())
    return {"seconds_per_row": seconds_per_row(times, given.images.shard_rows)}


def bare(recipe: dict[str, Any]) -> dict[str, Any]:
    """Measure a loop over batches that calls the pipeline and nothing else, from the second shard on.

    The pipeline is loaded, and its call gets the arguments, as in the stage: whatever a recipe says of them
    is the same on both sides.
    """
    import torch

    from t2ipal.images.pipelines import call_arguments, load_pipeline

    given = Recipe.model_validate(recipe)
    chosen = given.images
    pipeline = load_pipeline(chosen, _device(given))
    settings = call_arguments(pipeline, chosen)
    rows = [row for shard in CaptionPlan.of(given).shards() for row in texts(given, shard)]
    seconds = []
    for start in range(0, len(rows), chosen.batch):
        part = rows[start : start + chosen.batch]
        generators = [
            torch.Generator("cpu").manual_seed(derive_seed(given.seed, images.image_id(row["caption_id"], 0)))
            for row in part
        ]
        if chosen.negative_prompt:
            settings["negative_prompt"] = [chosen.negative_prompt] * len(part)
        begun = time.perf_counter()
        pipeline(prompt=[row["text"] for row in part], generator=generators, **settings)
        seconds.append(time.perf_counter() - begun)
    warm = chosen.shard_rows // chosen.batch
    return {"seconds_per_row": sum(seconds[warm:]) / (len(rows) - chosen.shard_rows)}


def _device(recipe: Recipe) -> str:
    return "cuda" if recipe.images.workers.gpus else "cpu"


if __name__ == "__main__":
    serve({"bare": bare, "stage": stage})
