"""What machines cost: a table in YAML that its user edits."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from t2ipal.errors import UserError
from t2ipal.section import NotBelow0, Section, Several
from t2ipal.validation import describe
from t2ipal.yaml_file import read_yaml

DEFAULT_PRICES = Path(__file__).parent / "prices.yaml"
THIS_MACHINE = "this machine"  # the type of the one that a plan is made on


class Price(Section):
    """Dollars an hour of a machine type in a region, and the GPUs that it has, by the driver's name."""

    type: str
    region: str | None = None  # None: in any
    gpu: str | None = None
    gpus: int = Field(default=0, ge=0)
    on_demand: NotBelow0
    spot: NotBelow0 | None = None
    date: date


@dataclass(frozen=True)
class Cost:
    """Dollars an hour; None where it is not known. `note` says what has to be said of it."""

    dollars: float | None
    note: str = ""


class PriceTable(Section):
    """The prices of a file."""

    prices: Several[Price] = ()

    def machine(self, type: str, region: str | None) -> Price | None:
        """Return the entry of a machine type; of another region where this one has none."""
        found = sorted(self._of(type), key=lambda price: price.region not in (region, None))
        return found[0] if found else None

    def cost(self, type: str, region: str | None, spot: bool) -> Cost:
        """Return what an hour of it costs."""
        price = self.machine(type, region)
        if price is None:
            return Cost(None, f"no price for {type}: add it to the price table (--prices)")
        if region is not None and price.region not in (region, None):
            return Cost(None, f"no price for {type} in {region}; there is one for {price.region}")
        if not spot:
            return Cost(
                price.on_demand, f"{type}: ${price.on_demand:g} an hour on demand, as of {price.date}"
            )
        if price.spot is None:
            asked = f"${price.on_demand:g} an hour, as of {price.date}"
            return Cost(price.on_demand, f"no spot price for {type}: counted on demand, at most {asked}")
        return Cost(price.spot, f"{type}: ${price.spot:g} an hour as spot, as of {price.date}")

    def _of(self, type: str) -> Iterator[Price]:
        return (price for price in self.prices if price.type == type)


def read_prices(path: str | Path) -> PriceTable:
    """Read a price table; UserError says what is wrong in it."""
    content: Any = read_yaml(path, what="price table")
    try:
        return PriceTable.model_validate(content)
    except ValidationError as error:
        problems = "\n  ".join(describe(error, PriceTable))
        raise UserError(
            f"the price table {str(path)!r} is not valid:\n  {problems}", f"see {DEFAULT_PRICES}"
        ) from error
