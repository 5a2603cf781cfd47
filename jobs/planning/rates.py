"""What stages took in former runs, each with its hardware, and which of them fits a plan."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from jobs.planning.hardware import Hardware
from jobs.planning.needs import Basis
from t2ipal.errors import UserError
from t2ipal.run_files import RATES
from t2ipal.section import NotBelow0, Positive, Section, Several
from t2ipal.store import Store

SHIPPED = Path(__file__).parents[1] / "rates"


class Measured(Section):
    """One kind of a stage's work: how many rows, and how many seconds of a worker they took."""

    amount: NotBelow0
    seconds: NotBelow0


class Rate(Section):
    """What one run of a stage took."""

    stage: str
    ended: str  # date and time, UTC
    hardware: Hardware  # of its workers
    nodes: Positive = 1
    versions: dict[str, str]
    settings: dict[str, Any]
    scales: dict[str, float] = Field(default_factory=dict)
    told: dict[str, Any] = Field(default_factory=dict)
    rows: Annotated[int, Field(ge=0)] = 0  # in the stage's output when it had ended
    shards: Annotated[int, Field(ge=0)] = 0  # of this run
    kept: float | None = None  # share of the planned captions
    workers: Positive
    cpus: NotBelow0 = 1.0  # of a worker
    gpus: NotBelow0 = 0.0
    seconds: NotBelow0  # of the clock
    once_s: NotBelow0  # of these, what does not grow with the rows: starts, loading, ends
    work: dict[str, Measured] = Field(default_factory=dict)

    @property
    def amount(self) -> float:
        """All of its work."""
        return sum(each.amount for each in self.work.values())


class RatesFile(Section):
    """The file of rates of a run, or of several runs."""

    rates: Several[Rate] = ()


@dataclass(frozen=True)
class Found:
    """A rate, and where it comes from."""

    rate: Rate
    source: str


@dataclass(frozen=True)
class RateBook:
    """Rates by source, those to be preferred first."""

    sources: Mapping[str, Sequence[Rate]]

    def find(self, stage: str, basis: Basis, hardware: Hardware, on_gpu: bool) -> Found | str:
        """Return the rate of a stage with the same settings on such hardware; where there is none, why.

        Of several from the same source, the one with most work, of those the last.
        """
        known = list(self._of(stage))
        if not known:
            return "no rate measured anywhere"
        same = [found for found in known if found.rate.settings == basis.settings]
        if not same:
            return f"no rate measured with these settings; one has {_differing(known[-1].rate, basis)}"
        fitting = [found for found in same if found.rate.hardware.is_like(hardware, on_gpu)]
        if not fitting:
            others = sorted({_speed(found.rate) for found in same})
            return f"no rate measured on {hardware}; known: {'; '.join(others)}"
        first = [found for found in fitting if found.source == fitting[0].source]
        return max(first, key=lambda found: (found.rate.amount, found.rate.ended))

    def kept(self, stage: str, basis: Basis) -> float | None:
        """Return the share of the planned rows that a stage kept with these settings, on any machine."""
        same = [found.rate for found in self._of(stage) if found.rate.settings == basis.settings]
        told = [rate for rate in same if rate.kept is not None]
        return max(told, key=lambda rate: rate.amount).kept if told else None

    def _of(self, stage: str) -> Iterator[Found]:
        for source, rates in self.sources.items():
            yield from (Found(rate, source) for rate in rates if rate.stage == stage)


def read_book(run: Store | None, given: Sequence[str]) -> RateBook:
    """Return the rates of files and run folders that were given, of the run itself, and those of the
    repository, in this order. Raises UserError for what is given and is not there, or is none.
    """
    sources = {name: read_rates(name) for name in given}
    if run is not None and run.uri not in sources:
        sources[run.uri] = rates_of(run)
    for file in sorted(SHIPPED.glob("*.json")):
        sources[f"jobs/rates/{file.name}"] = read_rates(str(file))
    return RateBook(sources)


def read_rates(name: str) -> tuple[Rate, ...]:
    """Return the rates of a file, or of a run's folder or URI."""
    file = Path(name).expanduser()
    if file.is_file():
        return _parse(name, file.read_bytes())
    store = Store.open(name, writable=False)
    if not store.exists(RATES):
        raise UserError(
            f"--rates: there is no file {name!r}, and no {RATES} in a run folder of this name",
            "give a file of rates, or the folder of a run whose stages have left theirs",
        )
    return _parse(store.uri_of(RATES), store.read_bytes(RATES))


def rates_of(run: Store) -> tuple[Rate, ...]:
    """Return the rates that a run has left so far; none where its file is damaged, and will be replaced."""
    content = run.find_json(RATES)
    try:
        return RatesFile.model_validate(content).rates
    except ValidationError:
        return ()


def _parse(name: str, content: bytes) -> tuple[Rate, ...]:
    remedy = f"give a {RATES} that a run has left"
    try:
        return RatesFile.model_validate(json.loads(content)).rates
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(f"{name!r} holds no rates: {where}: {first['msg']}", remedy) from error
    except ValueError as error:
        raise UserError(f"{name!r} holds no rates: {error}", remedy) from error


def _differing(rate: Rate, basis: Basis) -> str:
    keys = sorted({*rate.settings, *basis.settings})
    return ", ".join(
        f"{key} {rate.settings.get(key)}" for key in keys if rate.settings.get(key) != basis.settings.get(key)
    )


def _speed(rate: Rate) -> str:
    parts = [f"{kind} {each.seconds / each.amount:.2g} s" for kind, each in rate.work.items() if each.amount]
    return f"{', '.join([f'{rate.once_s:.0f} s once', *parts])} on {rate.hardware}"
