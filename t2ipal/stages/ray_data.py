"""Ray Data settings that all stages share."""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from typing import Any

import ray.data
from ray.data import ActorPoolStrategy, DataContext, ExecutionOptions
from ray.exceptions import ActorDiedError

from t2ipal.errors import UserError
from t2ipal.section import Workers

# Ray Data gives up on a pipeline without output for half an hour. Here an output is a whole shard, which may
# rightly take hours on a slow machine, and be cut off again by every restart. What really stands still shows
# otherwise: Ray replaces processes and nodes that die, and a job looks at its resources before it begins.
NO_PROGRESS_TIMEOUT_S = -1.0  # never

IN_HAND = 2  # shards of an actor

# Of a dataset: a block costs the driver 10 KiB as long as the stage runs.
MOST_BLOCKS, BLOCKS_A_WORKER = 256, 64

# "package.SomeError: message" at the beginning of a line of a trace, up to its end.
_RAISED = re.compile(r"^[\w.]+(?:Error|Exception): .+", re.MULTILINE)
_OURS = f"{UserError.__module__}.{UserError.__name__}: "  # what follows was written to be read


@contextmanager
def quiet_ray_data(in_hand: int = 1, labels: Mapping[str, str] | None = None) -> Iterator[None]:
    """Within, Ray Data prints errors only, hands on what a worker raises, and is patient with slow shards.

    Its log file in the Ray session keeps everything. `in_hand` is how many shards each actor has: with so
    many a pool is as busy as Ray Data takes it to be with one. Tasks and actors run on nodes with the
    `labels`, and such nodes are what a cluster that grows is asked for.
    """
    context = DataContext.get_current()
    busy = context.autoscaling_config
    changes = {
        "enable_progress_bars": False,
        "print_on_execution_start": False,
        # Else its own exception arrives, whose cause is lost on the way.
        "raise_original_map_exception": True,
        "execution_no_progress_timeout_s": NO_PROGRESS_TIMEOUT_S,
        "autoscaling_config": replace(
            busy,
            actor_pool_util_upscaling_threshold=busy.actor_pool_util_upscaling_threshold / in_hand,
            actor_pool_util_downscaling_threshold=busy.actor_pool_util_downscaling_threshold / in_hand,
        ),
        # Advice on memory reservations, repeated every half minute.
        "issue_detectors_config": replace(context.issue_detectors_config, detectors=[]),
        "execution_options": _on_nodes_with(labels, context.execution_options),
    }
    before = {name: getattr(context, name) for name in changes}
    console = [h for h in logging.getLogger("ray.data").handlers if isinstance(h, logging.StreamHandler)]
    levels = [handler.level for handler in console]
    _assign(context, changes)
    for handler in console:
        handler.setLevel(logging.ERROR)
    try:
        yield
    finally:
        _assign(context, before)
        for handler, level in zip(console, levels, strict=True):
            handler.setLevel(level)


@contextmanager
def startup_explained(stage: str, keys: str) -> Iterator[None]:
    """Within, an actor whose constructor raises ends the stage with a UserError that points to recipe keys.

    Ray hands on such an exception as text only, in a page of traces; this takes its last one out.
    """
    try:
        yield
    except ActorDiedError as error:
        reason = _RAISED.findall(str(error))
        if "creation task" not in str(error) or not reason:  # it died at work
            raise
        said = reason[-1].strip().removeprefix(_OURS)
        raise UserError(
            f"{stage}: a worker could not start: {said}", f"check {keys} in the recipe"
        ) from error


def _on_nodes_with(labels: Mapping[str, str] | None, options: ExecutionOptions) -> ExecutionOptions:
    chosen = copy(options)
    chosen.label_selector = dict(labels) if labels else None
    return chosen


def _assign(context: DataContext, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(context, name, value)


def actor_pool(workers: Workers, shards: int) -> ActorPoolStrategy:
    """Return a pool of the recipe's size, but of no more actors than there are shards to work on.

    An actor has two shards in hand, on a thread each: its model works on one of them at a time (see
    `t2ipal.model_thread`), while the other one is written. Goes with `quiet_ray_data(IN_HAND)`, without which
    such a pool would not grow.
    """
    largest = min(workers.max, shards)
    return ActorPoolStrategy(
        min_size=min(workers.min, largest),
        max_size=largest,
        max_tasks_in_flight_per_actor=IN_HAND,
        max_concurrent_calls_per_actor=IN_HAND,
        enable_true_multi_threading=True,
    )


def shards_to_do(rows: Sequence[dict[str, Any]], workers: Workers) -> ray.data.Dataset:
    """Return a dataset of rows that describe a shard each. They are a block each, so that any worker may
    have the next one, until blocks become so many that the driver would feel it. Of a block the results come
    together.
    """
    blocks = min(len(rows), max(MOST_BLOCKS, BLOCKS_A_WORKER * workers.max))
    return ray.data.from_items(list(rows), override_num_blocks=blocks)


def one_row_each(names: list[str]) -> ray.data.Dataset:
    """Return a dataset of rows {"shard": name}, a block each: a shard is the unit of work and of failure."""
    return ray.data.from_items([{"shard": name} for name in names], override_num_blocks=len(names))
