"""The configuration of vLLM in ray.data.llm."""

import os
from typing import Any

from ray.data.llm import vLLMEngineProcessorConfig

from t2ipal.recipe import CaptionsRecipe

# CPUs that Ray sets aside for each small step around the engine. With whole ones a machine of 2 cores would
# wait for ever.
SMALL_STEP_CPUS = 0.1


def engine_config(captions: CaptionsRecipe, model: str, shards: int) -> vLLMEngineProcessorConfig:
    """Return the configuration of vLLM: on GPUs if the recipe gives its workers some, else on CPUs."""
    workers = captions.workers
    parts = captions.engine_parts
    # An engine of several parts gets a placement group of them, and the actor that leads it asks for a whole
    # CPU of one.
    bundle = {"CPU": workers.cpus if parts == 1 else max(workers.cpus / parts, 1.0)}
    if workers.gpus:
        bundle["GPU"] = workers.gpus / parts
    small = {"num_cpus": SMALL_STEP_CPUS, "concurrency": (1, 1)}
    largest = min(workers.max, shards)
    engine = engine_arguments(captions)
    return vLLMEngineProcessorConfig(
        model_source=model,
        engine_kwargs=engine,
        placement_group_config={"bundle_per_worker": bundle},
        concurrency=(min(workers.min, largest), largest),
        batch_size=captions.batch,
        # A batch is done with its last answer. Those under way together are twice what the engine takes, so
        # that it is full while some of them wait for their last ones.
        max_concurrent_batches=max(2, -(-2 * engine["max_num_seqs"] // captions.batch)),
        should_continue_on_error=True,
        log_engine_metrics=False,
        chat_template_stage=small,
        # The engine does both itself; as stages of their own they would be two more processes that import
        # torch.
        tokenize_stage=False,
        detokenize_stage=False,
        runtime_env={"env_vars": _environment(on_cpu=not workers.gpus)},
    )


def engine_arguments(captions: CaptionsRecipe) -> dict[str, Any]:
    """Return the arguments of vLLM's engine: the recipe's, and ours where it says nothing."""
    # Sequences at once as in vLLM's offline API. An engine of ray.data.llm would take half as many.
    defaults: dict[str, Any] = {"disable_log_stats": True, "max_num_seqs": 256}
    if not captions.workers.gpus:
        # Of a request with a seed a prompt must not be cut in two there: the engine would end with "CPU
        # Generator does not use offset" (vLLM 0.29).
        return {**defaults, "enable_chunked_prefill": False, **captions.engine}
    return {**defaults, "max_num_batched_tokens": 8192, **captions.engine}


def _environment(on_cpu: bool) -> dict[str, str]:
    """Return the environment of the engine's processes; what the user has set stays."""
    defaults = {"VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    if on_cpu:
        # GiB for keys and values. Left alone, vLLM takes half of the machine's memory.
        defaults["VLLM_CPU_KVCACHE_SPACE"] = "1"
        # The worker runs within the engine's process: a third process would import vLLM once more, 20 s on a
        # slow core.
        defaults["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    return {name: os.environ.get(name, value) for name, value in defaults.items()}
