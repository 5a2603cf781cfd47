import time

import pytest
from ray.exceptions import NodeDiedError

from jobs.planning.needs import DEPLOY, START
from jobs.planning.rates import rates_of
from jobs.planning.record import Recorder, workers_machines
from t2ipal.run_files import RATES
from t2ipal.stages.effort import Effort, Work
from t2ipal.stages.report import StageReport
from t2ipal.store import Store
from t2ipal.verification.known import is_known
from tests.recipes import tiny_recipe

PAINTED = StageReport("images", 60, 4, 1, 30.0, effort=Effort({"images": Work(60, 40.0)}, 2, 3))


@pytest.fixture
def recorder(tmp_path):
    recipe = tiny_recipe(images={"workers": {"max": 2}})
    store = Store.open(str(tmp_path))
    store.claim(recipe)
    return Recorder(recipe, store, joins=False), store


def test_a_stage_that_worked_is_written_down(recorder):
    record, store = recorder
    record.stage(PAINTED)
    (rate,) = rates_of(store)
    assert (rate.stage, rate.rows, rate.shards, rate.workers, rate.seconds) == ("images", 60, 3, 2, 30.0)
    assert rate.once_s == pytest.approx(30 - 2 * 40 / 3)  # one of both has painted two shards
    assert rate.work["images"].amount == 60
    assert rate.settings["images.size"] == 32
    assert rate.scales == {"images.steps": 1.0}
    assert rate.hardware.cores >= 1
    assert rate.versions["torch"]


def test_each_run_is_added_and_one_without_work_is_not(recorder):
    record, store = recorder
    record.stage(PAINTED)
    record.stage(StageReport("images", 60, 4, 4, 0.1))
    record.stage(PAINTED)
    assert len(rates_of(store)) == 2


def test_the_share_of_kept_captions(recorder):
    record, store = recorder
    record.stage(StageReport("captions", 9, 3, 0, 5.0, notes={"asked": 12}))
    assert rates_of(store)[0].kept == 0.75


def test_what_comes_once_is_the_time_since_the_stage_before(recorder, monkeypatch):
    record, store = recorder
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 7)
    record.took(START)
    monkeypatch.setattr(time, "monotonic", lambda: now + 10)
    record.took(DEPLOY)
    start, deploy = rates_of(store)
    assert (start.seconds, deploy.seconds) == (pytest.approx(7, abs=1), 3.0)
    assert deploy.once_s == deploy.seconds


def test_a_damaged_file_is_begun_anew(recorder):
    record, store = recorder
    store.write_bytes(RATES, b"{")
    record.stage(PAINTED)
    assert len(rates_of(store)) == 1


def test_verification_knows_the_file():
    assert is_known(RATES)


def test_the_machines_of_a_cluster_describe_themselves(ray_cluster):
    (node,) = workers_machines(with_gpus=False)
    assert node["cores"] >= 1
    assert len(workers_machines(with_gpus=True)) == 1  # where there is none, the driver's own


class Lost:
    """A task for a node that has just gone, one that does not answer, and one that does."""

    def __init__(self, monkeypatch):
        self.nodes = [{"Alive": True, "Resources": {"CPU": 2.0}, "NodeID": "0" * 56} for _ in range(3)]
        monkeypatch.setattr("ray.nodes", lambda: self.nodes)
        monkeypatch.setattr("ray.remote", lambda **_: lambda function: self)
        monkeypatch.setattr("ray.wait", self.wait)
        monkeypatch.setattr("ray.get", self.get)
        self.asked = 0

    def options(self, **_):
        return self

    def remote(self):
        self.asked += 1
        return self.asked

    def wait(self, asked, num_returns, timeout):
        assert num_returns == len(asked) == 3
        assert timeout < 60
        return asked[:2], asked[2:]

    def get(self, task):
        if task == 1:
            raise NodeDiedError("gone")
        return {"cores": 2}


def test_a_node_that_goes_away_ends_no_job(monkeypatch):
    Lost(monkeypatch)
    assert workers_machines(with_gpus=False) == [{"cores": 2}]


def test_where_none_answers_the_drivers_own_machine_is_named(monkeypatch):
    lost = Lost(monkeypatch)
    lost.nodes = []
    (machine,) = workers_machines(with_gpus=False)
    assert machine["cores"] >= 1
