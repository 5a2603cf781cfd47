"""The captions stage, beside vLLM's own offline API with the same model, messages and sampling.

LLM.chat has answered other requests before. The stage has run in the same Ray session, whose processes for
small steps are kept, but its engine is a new one. The time is that from the first request to the commit of
the last shard, without the start of an engine. All that Ray does for the rows is in it: it would make
thousands of requests while the engine starts, and is told to wait.
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

from jobs.benchmarks.commits import commits
from jobs.benchmarks.process import EQUAL, measured, serve
from jobs.benchmarks.random_model import save_random_model
from jobs.benchmarks.report import Report, from_here
from jobs.benchmarks.rounds import by_turns
from jobs.checks import check_models, models_are_local
from jobs.machine import cores
from jobs.ray_session import RaySession
from t2ipal.captions.collect import Answer, answer_seed
from t2ipal.captions.plan import CaptionPlan
from t2ipal.captions.prompt import chat_messages
from t2ipal.captions.requests import MakeRequests, Request
from t2ipal.captions_recipe import CaptionsRecipe
from t2ipal.errors import UserError
from t2ipal.picturebook.weights import resolve
from t2ipal.recipe import Recipe, load_recipe
from t2ipal.stages import captions
from t2ipal.store import Store
from t2ipal.vocabulary import Vocabulary

COMMAND = "captions"
RECIPE = Path(__file__).with_name("full_size_writer.yaml")
ROWS = 384
ENGINE_START_S = 1200
MODULE = "jobs.benchmarks.captions"

# Ray ends a process that nobody needs for a second, and here an engine starts in the meantime.
KEPT = {"RAY_idle_worker_killing_time_threshold_ms": str(ENGINE_START_S * 1000)}


def default_recipe() -> Recipe:
    """Return that of a full-size model, which is made where it is not there."""
    recipe = load_recipe(RECIPE)
    save_random_model(Path(_captions(recipe).model))
    return recipe


def benchmark(recipe: Recipe, rows: int, rounds: int) -> Report:
    """Compare the stage with vLLM on at least `rows` answers a round, after a quarter as many."""
    warm, whole = one_engine(recipe, max(rows // 4, 1)), one_engine(recipe, rows)
    check_models(whole, {COMMAND: CaptionPlan.of(whole).shards()})
    asked = _captions(whole)
    given = {name: each.model_dump(mode="json") for name, each in (("warm", warm), ("recipe", whole))}
    found: dict[str, dict[str, Any]] = {}

    def side(measure: str) -> float:
        found[measure] = measured(MODULE, measure, given, KEPT)
        return float(found[measure]["seconds"]) / _rows(whole)

    times = by_turns(partial(side, "bare"), partial(side, "stage"), rounds)
    settings = {
        "model": from_here(asked.model),
        "rows": _rows(whole),
        "rows_before": _rows(warm),
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
    shards = -(-rows // _shard_rows(recipe.captions))
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


def stage(warm: dict[str, Any], recipe: dict[str, Any]) -> dict[str, Any]:
    """Measure the stage with a recipe, from its first request to the commit of its last shard."""
    from ray.data import DataContext

    from t2ipal.stages.engine import engine_arguments, engine_environment

    before, given = Recipe.model_validate(warm), Recipe.model_validate(recipe)
    asked = _captions(given)
    with RaySession(given.ray, models_are_local(given)) as session:
        session.start()
        DataContext.get_current().wait_for_min_actors_s = ENGINE_START_S
        _run_seconds(before)
        seconds = _run_seconds(given)
    variables = os.environ | engine_environment(on_cpu=not asked.workers.gpus)
    return {"seconds": seconds, "engine": engine_arguments(asked), "environment": _shown(variables)}


def _run_seconds(recipe: Recipe) -> float:
    from t2ipal.stages.engine import engine_answers

    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(f"{folder}/run")
        store.claim(recipe)
        begun = Path(folder) / "begun"

        def ask(shards: Sequence[str], make_requests: MakeRequests) -> Generator[Answer]:
            return engine_answers(_captions(recipe), shards, FirstCall(make_requests, str(begun)))

        with suppress(UserError):  # as when random weights name no class, which is no matter here
            captions.run(recipe, store, ask)
        if captions.pending(recipe, store):
            captions.run(recipe, store)  # says what is wrong
        last = max(commits(store.shards(captions.STAGE)).values())
        return last - float(begun.read_text())


def bare(warm: dict[str, Any], recipe: dict[str, Any]) -> dict[str, Any]:
    """Measure a call of LLM.chat with a recipe's requests, after another one.

    Where the recipe says nothing of the engine it is as vLLM sets it up by itself, but for what a CPU needs:
    memory, and prompts that are not cut in two.
    """
    before, given = Recipe.model_validate(warm), Recipe.model_validate(recipe)
    asked = _captions(given)
    if not asked.workers.gpus:
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    environment = _shown(os.environ)  # before vLLM adds to it
    from vllm import LLM

    from t2ipal.stages.engine import required_arguments

    arguments = {**required_arguments(asked), **asked.engine}
    engine = LLM(model=resolve(asked.model), **arguments)
    _chat_seconds(engine, before)
    seconds = _chat_seconds(engine, given)
    scheduler = engine.llm_engine.vllm_config.scheduler_config
    chosen = {name: getattr(scheduler, name) for name in ("max_num_seqs", "max_num_batched_tokens")}
    return {"seconds": seconds, "engine": arguments | chosen, "environment": environment}


def _chat_seconds(engine: Any, recipe: Recipe) -> float:
    from vllm import SamplingParams

    requests = list(_requests(recipe))
    if not engine.reset_prefix_cache():  # it may have met these prompts before
        raise RuntimeError("vLLM keeps its prefix cache, and would be timed with prompts that it knows")
    start = time.perf_counter()
    sampling = [SamplingParams(**settings) for _, settings in requests]
    engine.chat([messages for messages, _ in requests], sampling, use_tqdm=False)
    return time.perf_counter() - start


def _captions(recipe: Recipe) -> CaptionsRecipe:
    assert recipe.captions is not None  # one_engine refuses others
    return recipe.captions


def _rows(recipe: Recipe) -> int:
    asked = _captions(recipe)
    return asked.count * asked.candidates


def _shard_rows(asked: CaptionsRecipe) -> int:
    return asked.shard_rows * asked.candidates


def _shown(variables: Mapping[str, str]) -> dict[str, str]:
    """Return those environment variables that an engine's speed may depend on."""
    defaults = {"VLLM_ENABLE_V1_MULTIPROCESSING": "1"}  # the engine has a process of its own
    return defaults | {
        name: value
        for name, value in sorted(variables.items())
        if name.startswith("VLLM_") or name in ("OMP_NUM_THREADS", *EQUAL, *KEPT)
    }


def _requests(recipe: Recipe) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Yield messages and sampling parameters, as the stage makes them."""
    plan, vocabulary = CaptionPlan.of(recipe), Vocabulary.load(recipe.vocabulary)
    asked = _captions(recipe)
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
