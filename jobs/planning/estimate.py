"""What is left to do, times what it took before: workers, time and dollars of a stage."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from jobs.planning.cluster import Cluster, NodeType
from jobs.planning.needs import Ask, Basis
from jobs.planning.prices import PriceTable
from jobs.planning.rates import Found, Rate, RateBook
from jobs.planning.todo import Todo
from t2ipal.stages.effort import busiest

# What a line is about: work ahead, work that is done, nothing to do or to tell, what is paid beside the work.
AHEAD, TOOK, COMPLETE, BESIDE = "to do", "took", "nothing left", ""

FAR = 20  # times what was measured: from there on a plan says so


@dataclass(frozen=True)
class Line:
    """One stage of a plan, or of what a run took. None stands for what is not known."""

    stage: str
    state: str
    rows: int | None = None
    shards: int | None = None
    workers: int | None = None
    gpus: float = 0.0  # of a worker
    seconds: float | None = None
    dollars: float | None = None
    node: NodeType | None = None
    nodes: int = 0
    notes: tuple[str, ...] = field(default_factory=tuple)

    @property
    def worker_hours(self) -> float | None:
        """Hours of all workers, those of their start included."""
        return None if self.seconds is None or self.workers is None else self.workers * self.seconds / 3600

    @property
    def gpu_hours(self) -> float | None:
        """The same of their GPUs; None where they have none, too."""
        return None if self.worker_hours is None or not self.gpus else self.worker_hours * self.gpus


@dataclass(frozen=True)
class Estimator:
    """Estimates stages on a cluster from known rates and prices."""

    cluster: Cluster
    book: RateBook
    prices: PriceTable

    def line(self, stage: str, todo: Todo, ask: Ask, basis: Basis) -> Line:
        """Return what a stage will take; its notes say what is not known, and what was assumed."""
        kinds = self.cluster.place(ask)
        if not kinds:
            reason = f"no machine of the cluster has {ask.cpus:g} CPUs and {ask.gpus:g} GPUs for a worker"
            return Line(stage, AHEAD, todo.rows, todo.shards, notes=(*todo.notes, reason))
        found = [self.book.find(stage, basis, kind.hardware, ask.gpus > 0) for kind in kinds]
        # Of several kinds that have room for it, the first one of which something is known.
        best = next((i for i, each in enumerate(found) if isinstance(each, Found)), 0)
        node, rate = kinds[best], found[best]
        workers, most = _workers(todo, ask, node, self.cluster)
        others = [each.name for each in kinds if each.name != node.name]
        notes = [*todo.notes, *([f"on {node.name}; {', '.join(others)} fit too"] if others else [])]
        if workers < most:
            notes.append(f"there is room for {workers} of {most} workers")
        seconds = None
        if isinstance(rate, Found):
            seconds, said = predict(todo, rate, basis, workers)
            notes += said
        else:
            notes.append(rate)
        nodes = 0 if self._in_head(ask) else math.ceil(workers / max(1, min(workers, node.workers(ask))))
        dollars, note = self._dollars(node, nodes, seconds)
        notes += [note] if note else []
        return Line(
            stage,
            AHEAD,
            todo.rows,
            todo.shards,
            workers,
            ask.gpus,
            seconds,
            dollars,
            node,
            nodes,
            tuple(notes),
        )

    def took(self, stage: str, rates: Sequence[Rate], ask: Ask) -> Line:
        """Return what the runs of a stage really took, priced as machines of this cluster."""
        last, seconds = rates[-1], sum(rate.seconds for rate in rates)
        kinds = [
            each for each in self.cluster.place(ask) if each.hardware.is_like(last.hardware, ask.gpus > 0)
        ]
        node, nodes = kinds[0] if kinds else None, 0 if self._in_head(ask) else last.nodes
        dollars, note = None, f"it ran on {last.hardware}"
        if node is not None:
            dollars, note = self._dollars(node, nodes, seconds)
        return Line(
            stage,
            TOOK,
            last.rows,
            sum(rate.shards for rate in rates),
            max(rate.workers for rate in rates),
            last.gpus,
            seconds,
            dollars,
            node,
            nodes,
            (note,) if note else (),
        )

    def _in_head(self, ask: Ask) -> bool:
        """Say whether it needs no machine beside the head, which is paid for all the time."""
        return ask.on_driver and not self.cluster.is_ours

    def dollars(self, node: NodeType, seconds: float) -> float | None:
        """Return what one machine costs for a time."""
        return self._dollars(node, 1, seconds)[0]

    def _dollars(self, node: NodeType, nodes: int, seconds: float | None) -> tuple[float | None, str]:
        cost = self.prices.cost(node.machine, node.region, node.spot)
        if cost.dollars is None or seconds is None:
            return None, cost.note
        return nodes * seconds / 3600 * cost.dollars, cost.note


def _workers(todo: Todo, ask: Ask, node: NodeType, cluster: Cluster) -> tuple[int, int]:
    """Return how many workers there will be, and how many there could be with more machines."""
    most = min(ask.most, todo.shards) if todo.whole_shards else ask.most
    room = node.workers(ask) * min(node.most, cluster.most)
    return (1, 1) if ask.on_driver else (max(1, min(most, room)), most)


def predict(todo: Todo, found: Found, basis: Basis, workers: int) -> tuple[float | None, list[str]]:
    """Return the seconds that a stage will take by a measured rate, None where the rate lacks a kind of
    work; and what has to be said of them.
    """
    rate, notes = (
        found.rate,
        [f"rate of {found.rate.ended[:10]} on {found.rate.hardware}, from {found.source}"],
    )
    factor = 1.0
    for key, value in basis.scales.items():
        if (before := rate.scales.get(key, value)) != value:
            factor *= value / before
            notes.append(f"measured with {key} {before:g}: taken as proportional")
    if other := [key for key, value in basis.told.items() if rate.told.get(key) != value]:
        notes.append(f"measured with other {', '.join(sorted(other))}")
    total = 0.0
    for kind, amount in todo.amounts.items():
        done = rate.work.get(kind)
        if done is None or not done.amount:
            return None, [*notes, f"no rate of its {kind}"]
        if amount > FAR * done.amount:
            notes.append(f"{amount / done.amount:.0f} times the {kind} that were measured")
        total += amount * done.seconds / done.amount * factor
    if todo.amounts and workers != rate.workers:
        notes.append(f"measured with {rate.workers} workers, planned with {workers}: taken as equally fast")
    return rate.once_s + busiest(total, workers, todo.shards if todo.whole_shards else 0), notes
