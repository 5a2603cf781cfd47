"""Captions: class names to sentences, written by a language model in vLLM through ray.data.llm.

A recipe may give a file of sentences instead; the same table is then made from that.
"""

import time
from collections.abc import Generator
from contextlib import closing
from functools import partial
from typing import Any

from t2ipal.captions.collect import Answer, Collector, answer_seed
from t2ipal.captions.plan import CaptionPlan
from t2ipal.captions.prompt import chat_messages
from t2ipal.captions_recipe import AnnotatedCaptionsRecipe, CaptionsRecipe
from t2ipal.errors import UserError
from t2ipal.model_folder import check_model_folder
from t2ipal.picturebook.weights import resolve
from t2ipal.recipe import Recipe
from t2ipal.shards import Shards
from t2ipal.stages import annotated_captions
from t2ipal.stages.report import StageReport
from t2ipal.store import Store
from t2ipal.vocabulary import Vocabulary

STAGE = "captions"
MODEL_FILES = ("config.json", "tokenizer_config.json")

_ERROR = "__inference_error__"  # ray.data.llm's column


def pending(recipe: Recipe, store: Store) -> list[str]:
    """Return the names of the shards that are not there yet."""
    if recipe.captions is None:
        return annotated_captions.pending(store.shards(STAGE))
    return store.shards(STAGE).missing(CaptionPlan.of(recipe).shards())


def run(recipe: Recipe, store: Store) -> StageReport:
    """Write the missing shards. Needs an initialised Ray, unless the captions come from a file.

    A shard is committed as soon as its answers are complete. If the engine fails on single rows the others
    are still finished, and then a UserError says how many failed; their shards stay missing.
    """
    if isinstance(source := recipe.caption_source, AnnotatedCaptionsRecipe):
        vocabulary = Vocabulary.load(recipe.vocabulary)
        return annotated_captions.run(source, vocabulary, recipe.seed, store.shards(STAGE))
    return _run_engine(recipe, source, store)


def _run_engine(recipe: Recipe, captions: CaptionsRecipe, store: Store) -> StageReport:
    start = time.monotonic()
    plan, shards = CaptionPlan.of(recipe), store.shards(STAGE)
    missing = pending(recipe, store)
    if missing:
        _write(captions, plan, Vocabulary.load(recipe.vocabulary), shards, missing)
    manifests = shards.done()
    kept = sum(manifests[name].rows for name in plan.shards())
    if not kept:
        raise _nothing_kept(captions, [manifests[name].extra for name in plan.shards()])
    return StageReport(
        stage=STAGE,
        rows=kept,
        shards_total=len(plan.shards()),
        shards_done_before=len(plan.shards()) - len(missing),
        seconds=time.monotonic() - start,
        notes={"asked": plan.count, "rejected": plan.count - kept},
    )


def _nothing_kept(captions: CaptionsRecipe, shards: list[dict[str, Any]]) -> UserError:
    example = next((extra["example"] for extra in shards if extra.get("example")), "")
    return UserError(
        f"captions: of {captions.count} captions by {captions.model!r} none names exactly the "
        f"classes that it was asked for; an answer: {example!r}",
        "change captions.prompt or captions.model, and give another folder with --run",
    )


def _write(
    captions: CaptionsRecipe, plan: CaptionPlan, vocabulary: Vocabulary, shards: Shards, missing: list[str]
) -> None:
    collector = Collector(plan, vocabulary, captions.candidates, captions.model)
    with closing(_answers(captions, plan, vocabulary, missing)) as answers:
        for answer in answers:
            table = collector.add(answer)
            if table is not None:
                asked = len(plan.rows(answer.shard))
                extra = {"asked": asked, "kept": table.num_rows, "rejected": asked - table.num_rows}
                example = {} if table.num_rows else {"example": collector.rejected}
                shards.write(answer.shard, table, extra | example)
    if collector.failures:
        raise UserError(
            f"captions: the language model failed on {len(collector.failures)} answers, "
            f"the first one with {collector.failures[0]}",
            "correct the cause and run again: finished shards are kept, only the others are written again",
        )


def _answers(
    captions: CaptionsRecipe, plan: CaptionPlan, vocabulary: Vocabulary, missing: list[str]
) -> Generator[Answer]:
    """Yield the engine's answers for every row of the missing shards, in the order in which they come."""
    from ray.data.llm import build_processor

    from t2ipal.stages.engine import SMALL_STEP_CPUS, engine_config
    from t2ipal.stages.ray_data import one_row_each, quiet_ray_data, startup_explained

    model = resolve(captions.model)
    check_model_folder(model, "captions.model", MODEL_FILES)
    processor = build_processor(
        engine_config(captions, model, len(missing)),
        preprocess=_identity,
        postprocess=_text_only,
        preprocess_map_kwargs={"num_cpus": SMALL_STEP_CPUS},
        postprocess_map_kwargs={"num_cpus": SMALL_STEP_CPUS},
    )
    with quiet_ray_data(), startup_explained(STAGE, "captions.model and captions.engine"):
        rows = one_row_each(missing).flat_map(
            partial(requests, captions, plan, vocabulary), num_cpus=SMALL_STEP_CPUS
        )
        for row in processor(rows).iter_rows():
            yield Answer(
                row["shard"], row["index"], row["candidate"], row["generated_text"] or "", row[_ERROR] or ""
            )


def requests(
    captions: CaptionsRecipe, plan: CaptionPlan, vocabulary: Vocabulary, row: dict[str, Any]
) -> list[dict[str, Any]]:
    """Return every request of one shard, in the columns that ray.data.llm reads."""
    return [
        {
            "shard": row["shard"],
            "index": index,
            "candidate": candidate,
            "messages": chat_messages(captions.prompt, [vocabulary.names[i] for i in plan.classes(index)]),
            "sampling_params": {
                "temperature": captions.temperature,
                "max_tokens": captions.max_tokens,
                "seed": answer_seed(plan.seed, index, candidate),
            },
        }
        for index in plan.rows(row["shard"])
        for candidate in range(captions.candidates)
    ]


def _identity(row: dict[str, Any]) -> dict[str, Any]:
    return row


def _text_only(row: dict[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in ("shard", "index", "candidate", "generated_text")}
