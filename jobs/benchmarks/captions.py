"""The captions stage, beside vLLM's own offline API with the same engine, messages and sampling."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

from jobs.benchmarks.commits import commits, seconds_per_row
from jobs.benchmarks.machine import cores
from jobs.benchmarks.process import measured, serve
from jobs.benchmarks.report import Report
from jobs.benchmarks.rounds import by_turns
from jobs.checks import models_are_local
from jobs.ray_session import RaySession
from t2ipal.captions.collect import answer_seed
from t2ipal.captions.plan import CaptionPlan
from t2ipal.captions.prompt import chat_messages
from t2ipal.errors import UserError
from t2ipal.picturebook.weights import resolve
from t2ipal.recipe import Recipe
from t2ipal.stages import captions
from t2ipal.store import Store
from t2ipal.vocabulary import Vocabulary

COMMAND = "captions"
ROWS = 12288
MODULE = "jobs.benchmarks.captions"
WARM_SHARDS = 1
QUIET = {"VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}


def benchmark(recipe: Recipe, rows: int, rounds: int) -> Report:
    """Compare the stage with vLLM on at least `rows` answers a round."""
    recipe = one_engine(recipe, rows)
    asked = recipe.captions
    assert asked is not None
    given = {"recipe": recipe.model_dump(mode="json")}

    def side(measure: str) -> float:
        return float(measured(MODULE, measure, given, QUIET)["seconds_per_row"])

    found = by_turns(partial(side, "bare"), partial(side, "stage"), rounds)
    settings = {
        "model": asked.model,
        "rows": asked.count * asked.candidates,
        "max_tokens": asked.max_tokens,
        "engine": asked.engine,
        "device": "cuda" if asked.workers.gpus else "cpu",
        "threads": cores(),
        "rounds": rounds,
    }
    return Report(COMMAND, settings, found.figures(), found.table("vLLM's LLM.chat"))


def one_engine(recipe: Recipe, rows: int) -> Recipe:
    """Return the recipe with one engine and at least `rows` answers to write, each asked for once.

    UserError for a recipe in which no engine of the job's own writes.
    """
    if recipe.captions is None:
        raise UserError("the recipe has no section captions: no language model writes", "give another recipe")
    if recipe.captions.endpoint is not None:
        raise UserError(
            "captions.endpoint: a server writes, and the job has no engine whose speed could be compared",
            "leave captions.endpoint out, or give another recipe",
        )
    a_shard = recipe.captions.shard_rows * recipe.captions.candidates
    shards = max(3, -(-rows // a_shard))
    workers = recipe.captions.workers.model_copy(update={"min": 1, "max": 1})
    # Both sides write the same answers. With a further attempt, or a comparison of all captions, a shard
    # would not be committed as soon as its answers are there.
    once = {"attempts": 1, "drop_similar": None, "prior": None}
    asked = {"count": shards * recipe.captions.shard_rows, "workers": workers, **once}
    return recipe.model_copy(
        update={
            "captions": recipe.captions.model_copy(update=asked),
            "images": recipe.images.model_copy(update={"captions": None}),
        }
    )


def stage(recipe: dict[str, Any]) -> dict[str, Any]:
    """Measure the stage from the commit of its first shard to when the engine is no longer full."""
    from t2ipal.stages.engine import engine_arguments

    given = Recipe.model_validate(recipe)
    asked = given.captions
    assert asked is not None
    with tempfile.TemporaryDirectory() as folder, RaySession(given, models_are_local(given)) as session:
        store = Store.open(folder)
        store.claim(given)
        session.start()
        with suppress(UserError):  # as when random weights name no class, which is no matter here
            captions.run(given, store)
        if captions.pending(given, store):
            captions.run(given, store)  # says what is wrong
        times = list(commits(store.shards(captions.STAGE)).values())
    under_way = int(engine_arguments(asked)["max_num_seqs"])
    return {"seconds_per_row": seconds_per_row(times, asked.shard_rows * asked.candidates, under_way)}


def bare(recipe: dict[str, Any]) -> dict[str, Any]:
    """Measure one call of LLM.chat with all requests but those of the first shard, which warm it up."""
    from vllm import LLM, SamplingParams

    from t2ipal.stages.engine import engine_arguments

    given = Recipe.model_validate(recipe)
    asked = given.captions
    assert asked is not None
    if not asked.workers.gpus:
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    engine = LLM(model=resolve(asked.model), **engine_arguments(asked))
    requests = list(_requests(given))
    messages = [each for each, _ in requests]
    sampling = [SamplingParams(**each) for _, each in requests]
    warm = WARM_SHARDS * asked.shard_rows * asked.candidates
    engine.chat(messages[:warm], sampling[:warm], use_tqdm=False)
    begun = time.perf_counter()
    answers = engine.chat(messages[warm:], sampling[warm:], use_tqdm=False)
    seconds = time.perf_counter() - begun
    tokens = sum(len(answer.outputs[0].token_ids) for answer in answers)
    return {"seconds_per_row": seconds / len(answers), "tokens_per_row": tokens / len(answers)}


def _requests(recipe: Recipe) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Yield messages and sampling parameters, as the stage makes them."""
    plan, vocabulary = CaptionPlan.of(recipe), Vocabulary.load(recipe.vocabulary)
    asked = recipe.captions
    assert asked is not None
    for index in range(plan.count):
        names = [vocabulary.names[i] for i in plan.classes(index)]
        for candidate in range(asked.candidates):
            yield (
                chat_messages(asked.prompt, names),
                {
                    "temperature": asked.temperature,
                    "max_tokens": asked.max_tokens,
                    "seed": answer_seed(plan.seed, index, candidate),
                },
            )


if __name__ == "__main__":
    serve({"bare": bare, "stage": stage})
