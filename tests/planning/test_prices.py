from pathlib import Path

import pytest
import yaml

from jobs.planning.prices import DEFAULT_PRICES, PriceTable, read_prices
from t2ipal.errors import UserError

CLUSTER = Path(__file__).parents[2] / "cluster"
WEST = {"type": "m5.xlarge", "region": "us-west-2", "on_demand": 0.2, "date": "2026-01-02"}


def table(tmp_path, *prices):
    file = tmp_path / "prices.yaml"
    text = yaml.safe_dump({"prices": [*prices]}).replace("'2026-01-02'", "2026-01-02")
    file.write_text(text)
    return read_prices(file)


def test_a_price_on_demand_and_its_date(tmp_path):
    cost = table(tmp_path, WEST).cost("m5.xlarge", "us-west-2", spot=False)
    assert cost.dollars == 0.2
    assert "2026-01-02" in cost.note


def test_a_spot_price(tmp_path):
    cost = table(tmp_path, WEST | {"spot": 0.05}).cost("m5.xlarge", "us-west-2", spot=True)
    assert (cost.dollars, "as spot" in cost.note) == (0.05, True)


def test_without_a_spot_price_it_is_at_most_the_other_one(tmp_path):
    cost = table(tmp_path, WEST).cost("m5.xlarge", "us-west-2", spot=True)
    assert cost.dollars == 0.2
    assert "no spot price for m5.xlarge: counted on demand, at most" in cost.note


def test_no_price_is_guessed(tmp_path):
    prices = table(tmp_path, WEST)
    assert prices.cost("m5.large", "us-west-2", False).dollars is None
    elsewhere = prices.cost("m5.xlarge", "eu-west-1", False)
    assert (elsewhere.dollars, elsewhere.note) == (
        None,
        "no price for m5.xlarge in eu-west-1; there is one for us-west-2",
    )


def test_the_entry_of_the_region_is_taken(tmp_path):
    prices = table(tmp_path, WEST, WEST | {"region": "eu-west-1", "on_demand": 0.3})
    assert prices.cost("m5.xlarge", "eu-west-1", False).dollars == 0.3


def test_a_mistake_is_named(tmp_path):
    with pytest.raises(UserError, match=r"'prices\.0\.on_demnd' is unknown.*did you mean 'on_demand'"):
        table(tmp_path, WEST | {"on_demnd": 1})
    with pytest.raises(UserError, match="cannot read the price table"):
        read_prices(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("file", sorted(CLUSTER.glob("*.yaml")), ids=lambda file: file.name)
def test_every_machine_of_the_cluster_files_has_a_price(file):
    prices, content = read_prices(DEFAULT_PRICES), yaml.safe_load(file.read_text())
    assert isinstance(prices, PriceTable)
    for node in content["available_node_types"].values():
        config = node["node_config"]
        machine = config.get("InstanceType") or config["machineType"].rpartition("/")[2]
        cost = prices.cost(machine, content["provider"]["region"], spot=False)
        assert cost.dollars is not None, cost.note
