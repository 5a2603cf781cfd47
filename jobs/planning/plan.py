"""`jobs/pipeline.py --plan`: what a job has taken so far, and what the rest of it will take.

Starts no Ray and no engine, and writes nothing.
"""

import argparse
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from jobs.planning.cluster import Cluster, NodeType, local_cluster, read_cluster
from jobs.planning.estimate import AHEAD, BESIDE, COMPLETE, TOOK, Estimator, Line
from jobs.planning.hardware import this_machine
from jobs.planning.needs import DEPLOY, START, ask, basis
from jobs.planning.prices import DEFAULT_PRICES, PriceTable, read_prices
from jobs.planning.rates import rates_of, read_book
from jobs.planning.table import plan_table
from jobs.planning.todo import Remaining, Todo
from t2ipal.model_identity import check_models_unchanged
from t2ipal.recipe import Recipe
from t2ipal.stages import captions
from t2ipal.stages.changed_recipe import begun
from t2ipal.store import RUN_FILE, Store


@dataclass(frozen=True)
class Sources:
    """What a plan is made from, beside the recipe: a cluster file, files of rates, a price table."""

    cluster: str | None = None
    rates: tuple[str, ...] = ()
    prices: str = str(DEFAULT_PRICES)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --plan and what goes with it."""
    group = parser.add_argument_group("plan")
    group.add_argument(
        "--plan", action="store_true", help="say what the stages took and will take, and run nothing"
    )
    group.add_argument("--cluster", metavar="FILE", help="of Ray's cluster launcher; default: this machine")
    group.add_argument(
        "--rates",
        metavar="FILE",
        action="append",
        default=[],
        help="rates.json of a former run, or its folder, before those known; may be repeated",
    )
    group.add_argument("--prices", metavar="FILE", default=str(DEFAULT_PRICES), help="default: %(default)s")


def sources(arguments: argparse.Namespace) -> Sources:
    """Return what these arguments name."""
    return Sources(arguments.cluster, tuple(arguments.rates), arguments.prices)


def opened(recipe: Recipe, uri: str) -> Store:
    """Return the run's folder, which may not be there, as a job of the recipe finds it.

    Raises the UserErrors of a recipe that the run was not begun with, and of models that have changed.
    """
    store = Store.open(uri, writable=False)
    if store.exists(RUN_FILE):
        store.expect(recipe, begun(store))
    store.fingerprints.update(recipe.fingerprints())
    check_models_unchanged(recipe, store, remember=False)
    return store


def told(
    recipe: Recipe, store: Store, stages: Sequence[str], work: Collection[str], serves: bool, given: Sources
) -> str:
    """Return the plan as a table with its notes."""
    return plan_table(plan(recipe, store, stages, work, serves, given))


def plan(
    recipe: Recipe, store: Store, stages: Sequence[str], work: Collection[str], serves: bool, given: Sources
) -> list[Line]:
    """Return a line for each part of the stages asked for: what is done, and what is left.

    `work` are the stages with something left to do. Raises UserError for files that are none.
    """
    prices = read_prices(given.prices)
    book = read_book(store, given.rates)
    cluster = _cluster(recipe, given, prices)
    estimator = Estimator(cluster, book, prices)
    remaining = Remaining(recipe, store, book.kept(captions.STAGE, basis(recipe, captions.STAGE)))
    lines = [*_took(recipe, store, estimator, stages)]
    if work or serves:
        left = {START: Todo(1, 1), **{name: remaining.of(name) for name in stages if name in work}}
        left |= {DEPLOY: Todo(1, 1)} if serves else {}
        lines += [
            estimator.line(name, todo, ask(recipe, name), basis(recipe, name)) for name, todo in left.items()
        ]
    told = {line.stage for line in lines}
    lines += [Line(name, COMPLETE) for name in stages if name not in told]
    order = [START, *stages]
    lines.sort(key=lambda line: (order.index(line.stage), line.state != TOOK))
    return [*lines, *_around(cluster, estimator, lines)]


def _cluster(recipe: Recipe, given: Sources, prices: PriceTable) -> Cluster:
    if given.cluster is not None:
        return read_cluster(given.cluster, prices)
    return local_cluster(this_machine(), recipe.ray.num_cpus)


def _took(recipe: Recipe, store: Store, estimator: Estimator, stages: Sequence[str]) -> Iterator[Line]:
    """Yield what the runs of each stage took in this folder, as far as they were with these settings."""
    known = rates_of(store)
    for name in (START, *stages):
        settings = basis(recipe, name).settings
        if own := [rate for rate in known if rate.stage == name and rate.settings == settings]:
            yield estimator.took(name, own, ask(recipe, name))


def _around(cluster: Cluster, estimator: Estimator, lines: Sequence[Line]) -> list[Line]:
    """Return what a cluster costs beside the machines at work: its head all the time, and machines that wait
    to be given back.
    """
    ahead = [line for line in lines if line.state == AHEAD]
    if cluster.is_ours or not ahead:
        return []
    seconds = [line.seconds for line in ahead]
    whole = None if None in seconds else sum(each or 0.0 for each in seconds)
    head = None if whole is None else estimator.dollars(cluster.head, whole)
    idle = [estimator.dollars(*each) for each in _idle(ahead)]
    note = "that a machine of the cloud has to start first is in no line: nobody has measured it here"
    return [
        Line("(head)", BESIDE, dollars=head),
        Line(
            "(idle)",
            BESIDE,
            dollars=None if None in idle else sum(each or 0.0 for each in idle),
            notes=("what machines cost until they are given back, without work", note),
        ),
    ]


def _idle(lines: Sequence[Line]) -> Iterator[tuple[NodeType, float]]:
    """Yield each kind of machine with the seconds that those of it wait which the next stage does not use."""
    for line, following in zip(lines, [*lines[1:], None], strict=True):
        if line.node is None:
            continue
        used = 0 if following is None or following.node != line.node else following.nodes
        if (left := line.nodes - used) > 0:
            yield line.node, left * line.node.idle_s
