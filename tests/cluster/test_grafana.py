"""The dashboard asks for figures that exist, and the page beside it for settings that exist."""

import json
import re
import time

import pytest
import ray
from ray.dashboard.modules.reporter.reporter_agent import METRICS_GAUGES

from jobs.metrics import exported
from t2ipal.recipe import Recipe
from t2ipal.watch import Progress
from tests.cluster.files import ROOT
from tests.cluster.metrics import figures_of_this_node, names_in
from tests.faults.cluster import until

DASHBOARD = json.loads((ROOT / "cluster" / "grafana.json").read_text())
ASKED = names_in(DASHBOARD)


def test_panels_have_places_of_their_own():
    taken = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_what_it_asks_of_machines_is_what_ray_measures():
    machines = {name for name in ASKED if name.startswith(("ray_node_", "ray_cluster_"))}
    assert len(machines) == 9
    assert machines <= {f"ray_{name}" for name in METRICS_GAUGES}


def test_how_far_a_stage_is_can_be_read_as_long_as_it_works(ray_cluster):
    with exported("captions") as watch:
        watch(Progress(24, 96, "answers", {"rejected": 5}))
        until(lambda: {name for name in ASKED if "_stage_" in name} <= names_in(figures_of_this_node()))
        time.sleep(2.5 * ray._config.metrics_report_interval_ms() / 1000)  # a figure is kept for two reports
        lines = [each for each in figures_of_this_node().splitlines() if each.startswith("ray_t2ipal_stage_")]
    values = {(line.partition("{")[0], float(line.rpartition(" ")[2])) for line in lines}
    assert {
        ("ray_t2ipal_stage_done", 24.0),
        ("ray_t2ipal_stage_planned", 96.0),
        ("ray_t2ipal_stage_outcomes", 5.0),
    } <= values
    (rejected,) = [line for line in lines if "outcomes{" in line]
    assert re.search('outcome="rejected".*stage="captions"', rejected)


def test_what_it_asks_of_stages_is_what_ray_measures(ray_cluster):
    import ray.data

    rows = ray.data.from_items([{"shard": str(i)} for i in range(4)], override_num_blocks=4)
    assert len(rows.map(lambda row: row, num_cpus=0.1).take_all()) == 4
    until(lambda: {"ray_data_operator_queued_blocks", "ray_tasks"} <= names_in(figures_of_this_node()))


PAGE = (ROOT / "cluster" / "slow.md").read_text()
SETTINGS = {each for each in re.findall(r"`([a-z_]+\.[a-z_]+)`", PAGE) if not each.endswith((".json", ".py"))}


def dotted(schema):
    """Return section.setting for all of a recipe's."""
    every = {"": schema, **schema["$defs"]}
    found = set()
    for part in every.values():
        for name, value in part.get("properties", {}).items():
            for kind in re.findall(r"#/\$defs/(\w+)", json.dumps(value)):
                found |= {f"{name}.{each}" for each in every[kind].get("properties", ())}
    return found


@pytest.mark.parametrize("setting", sorted(SETTINGS))
def test_a_setting_that_the_page_names_is_one_of_a_recipe(setting):
    assert setting in dotted(Recipe.model_json_schema())
