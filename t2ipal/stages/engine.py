"""vLLM in ray.data.llm as the language model."""

import os
from collections.abc import Generator, Mapping, Sequence
from functools import partial
from typing import Any

from ray.data import ActorPoolStrategy, TaskPoolStrategy
from ray.data.llm import build_processor, vLLMEngineProcessorConfig

from t2ipal.captions.collect import Answer
from t2ipal.captions.requests import MakeRequests
from t2ipal.captions.tokens import TokenizedRequests
from t2ipal.captions_recipe import CaptionsRecipe
from t2ipal.picturebook.weights import resolve
from t2ipal.stages.ray_data import one_row_each, quiet_ray_data, startup_explained
from t2ipal.vllm_environment import QUIET

# CPUs that Ray sets aside for each small step around the engine. With whole ones a machine of 2 cores would
# wait for ever.
SMALL_STEP_CPUS = 0.1

# Engines for which one process makes the requests, and one takes their answers: thousands a second. Where a
# machine has few cores, each further process that starts takes seconds of the engine's.
ENGINES_A_PROCESS = 8

WHOLE_ANSWER = 1_000_000  # tokens, more than any has

# Names of ray.data.llm's: a column, a stage, and a setting of it.
_ERROR = "__inference_error__"
_ENGINE_STAGE = "vLLMEngineStage"
_HAS_A_GROUP = "ray_remote_args_fn"  # which makes a placement group for each of its actors


def engine_answers(
    captions: CaptionsRecipe, shards: Sequence[str], make_requests: MakeRequests
) -> Generator[Answer]:
    """Yield the answers to all requests of some shards, in the order in which they come."""
    model = resolve(captions.model)
    processes = -(-min(captions.workers.max, len(shards)) // ENGINES_A_PROCESS)
    small_step = {"num_cpus": SMALL_STEP_CPUS, "compute": TaskPoolStrategy(size=processes)}
    processor = build_processor(
        engine_config(captions, model, len(shards)),
        preprocess=_identity,
        postprocess=_text_only,
        preprocess_map_kwargs=small_step,
        postprocess_map_kwargs=small_step,
    )
    engine_stage = processor.get_stage_by_name(_ENGINE_STAGE)
    if captions.workers.labels and _HAS_A_GROUP in engine_stage.map_batches_kwargs:
        _keep_parts_together(engine_stage, captions)
    explained = startup_explained("captions", "captions.model and captions.engine")
    with quiet_ray_data(labels=captions.workers.labels), explained:
        rows = one_row_each(list(shards)).flat_map(
            TokenizedRequests,
            fn_constructor_args=(make_requests, model, captions.engine),
            compute=ActorPoolStrategy(size=processes),
            num_cpus=SMALL_STEP_CPUS,
        )
        for row in processor(rows).iter_rows():
            yield Answer(
                row["shard"], row["index"], row["candidate"], row["generated_text"] or "", row[_ERROR] or ""
            )


def _identity(row: dict[str, Any]) -> dict[str, Any]:
    return row


def _text_only(row: dict[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in ("shard", "index", "candidate", "generated_text")}


def engine_config(captions: CaptionsRecipe, model: str, shards: int) -> vLLMEngineProcessorConfig:
    """Return the configuration of vLLM: on GPUs if the recipe gives its workers some, else on CPUs."""
    workers = captions.workers
    largest = min(workers.max, shards)
    engine = engine_arguments(captions)
    return vLLMEngineProcessorConfig(
        model_source=model,
        engine_kwargs=engine,
        placement_group_config={"bundle_per_worker": _part(captions)},
        concurrency=(min(workers.min, largest), largest),
        batch_size=captions.batch,
        # A batch is done with its last answer. Those under way together are twice what the engine takes, so
        # that it is full while some of them wait for their last ones.
        max_concurrent_batches=max(2, -(-2 * engine["max_num_seqs"] // captions.batch)),
        should_continue_on_error=True,
        log_engine_metrics=False,
        # The requests are tokenized, and the engine turns its tokens into text.
        chat_template_stage=False,
        tokenize_stage=False,
        detokenize_stage=False,
        runtime_env={"env_vars": engine_environment(on_cpu=not workers.gpus)},
    )


def _part(captions: CaptionsRecipe) -> dict[str, float]:
    """Return what one of the processes that an engine is split into asks of Ray."""
    workers, parts = captions.workers, captions.engine_parts
    # An engine of several parts gets a placement group of them, and the actor that leads it asks for a whole
    # CPU of one.
    part = {"CPU": workers.cpus if parts == 1 else max(workers.cpus / parts, 1.0)}
    return part | ({"GPU": workers.gpus / parts} if workers.gpus else {})


def _keep_parts_together(stage: Any, captions: CaptionsRecipe) -> None:
    """Have the placement group of an engine of several parts on nodes with the recipe's labels, for which
    ray.data.llm has no setting.
    """
    bundles = [_part(captions)] * captions.engine_parts
    stage.map_batches_kwargs[_HAS_A_GROUP] = partial(
        placement_group_of_its_own, bundles, captions.workers.labels
    )


def placement_group_of_its_own(bundles: list[dict[str, float]], labels: Mapping[str, str]) -> dict[str, Any]:
    """Return options of an actor in a new placement group on nodes with these labels."""
    from ray.util import placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    group = placement_group(bundles, strategy="PACK", bundle_label_selector=[dict(labels)] * len(bundles))
    return {
        "scheduling_strategy": PlacementGroupSchedulingStrategy(
            group, placement_group_capture_child_tasks=True
        )
    }


def engine_arguments(captions: CaptionsRecipe) -> dict[str, Any]:
    """Return the arguments of vLLM's engine: the recipe's, and ours where it says nothing."""
    # Sequences at once as in vLLM's offline API. An engine of ray.data.llm would take half as many.
    # An answer is taken when it is whole, and would be handed over anew with each of its tokens.
    defaults: dict[str, Any] = {
        "disable_log_stats": True,
        "max_num_seqs": 256,
        "stream_interval": WHOLE_ANSWER,
    }
    if captions.workers.gpus:
        defaults["max_num_batched_tokens"] = 8192
    return {**defaults, **required_arguments(captions), **captions.engine}


def required_arguments(captions: CaptionsRecipe) -> dict[str, Any]:
    """Return the arguments without which the engine could not answer the requests."""
    # Of a request with a seed a prompt must not be cut in two on a CPU: the engine would end with "CPU
    # Generator does not use offset" (vLLM 0.29).
    return {} if captions.workers.gpus else {"enable_chunked_prefill": False}


def engine_environment(on_cpu: bool) -> dict[str, str]:
    """Return the environment of the engine's processes; what the user has set stays."""
    defaults = dict(QUIET)
    if on_cpu:
        # GiB for keys and values. Left alone, vLLM takes half of the machine's memory.
        defaults["VLLM_CPU_KVCACHE_SPACE"] = "1"
        # The worker runs within the engine's process: a third process would import vLLM once more, 20 s on a
        # slow core.
        defaults["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    return {name: os.environ.get(name, value) for name, value in defaults.items()}
