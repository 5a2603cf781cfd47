import pytest

from jobs.planning.cluster import Cluster, NodeType, local_cluster
from jobs.planning.estimate import Estimator, predict
from jobs.planning.needs import DRIVER, Ask, Basis
from jobs.planning.prices import PriceTable
from jobs.planning.rates import Found, Measured, RateBook
from jobs.planning.todo import Todo
from tests.planning.rates import A10G, HERE, rate

GPU = NodeType("gpu", A10G, "g5.2xlarge", "us-west-2", 8.0, 1.0, most=3, spot=True)
HEAD = NodeType("head", HERE, "m5.xlarge", "us-west-2", 0.0, 0.0, most=1)
CLUSTER = Cluster(HEAD, (GPU,), most=8)
PRICES = PriceTable.model_validate(
    {"prices": ({"type": "g5.2xlarge", "on_demand": 2.0, "spot": 0.5, "date": "2026-01-02"},)}, strict=False
)
PAINTERS = Ask(8, 1.0, 1.0)
PAINTED = Todo(800, 32, {"images": 800}, whole_shards=True)


def estimator(*rates, cluster=CLUSTER):
    return Estimator(cluster, RateBook({"rates": rates}), PRICES)


def seconds(todo, workers=2, basis=None, **changes):
    return predict(todo, Found(rate(**changes), "here"), basis or Basis(), workers)


def test_what_comes_once_is_not_multiplied():
    # 1 s of a worker for each image, 10 s once
    assert seconds(PAINTED)[0] == pytest.approx(10 + 800 / 2)


def test_shards_are_done_whole():
    assert seconds(Todo(75, 3, {"images": 75}, whole_shards=True))[0] == pytest.approx(10 + 2 * 25)
    assert seconds(Todo(75, 3, {"images": 75}))[0] == pytest.approx(10 + 37.5)


def test_what_grows_in_proportion_is_said():
    basis = Basis(scales={"images.steps": 50.0})
    found, notes = seconds(PAINTED, basis=basis, scales={"images.steps": 20.0})
    assert found == pytest.approx(10 + 2.5 * 400)
    assert "measured with images.steps 20: taken as proportional" in notes


def test_a_kind_of_work_without_a_rate_makes_the_time_unknown():
    found, notes = seconds(Todo(9, 1, {"images": 5, "test_features": 4}))
    assert found is None
    assert "no rate of its test_features" in notes


@pytest.mark.parametrize(
    ("said", "changes"),
    [
        ("measured with other images.batch", {"told": {"images.batch": 8}}),
        ("measured with 1 workers, planned with 2: taken as equally fast", {"workers": 1}),
        ("200 times the images that were measured", {"work": {"images": Measured(amount=4, seconds=4.0)}}),
    ],
)
def test_what_is_assumed_is_said(said, changes):
    same = {"told": {"images.batch": 4}}
    basis = Basis(**same)
    assert said not in seconds(PAINTED, basis=basis, **same)[1]
    found = Found(rate(**(same | changes)), "here")
    assert said in predict(PAINTED, found, basis, workers=2)[1]


def test_hours_and_dollars_of_a_pool():
    line = estimator(rate(hardware=A10G)).line("images", PAINTED, PAINTERS, Basis())
    assert (line.workers, line.nodes) == (3, 3)  # as many as there can be machines
    assert "there is room for 3 of 8 workers" in line.notes
    assert line.seconds == pytest.approx(10 + 11 * 25)  # 32 shards of 25 s
    assert line.worker_hours == line.gpu_hours == pytest.approx(3 * line.seconds / 3600)
    assert line.dollars == pytest.approx(3 * line.seconds / 3600 * 0.5)


def test_no_more_workers_than_shards():
    line = estimator(rate(hardware=A10G)).line(
        "images", Todo(50, 2, {"images": 50}, whole_shards=True), PAINTERS, Basis()
    )
    assert line.workers == 2
    assert not any("there is room" in note for note in line.notes)


def test_what_the_driver_does_costs_no_machine_of_its_own():
    line = estimator(rate("bundle", work={})).line("bundle", Todo(3, 1), DRIVER, Basis())
    assert (line.node, line.nodes, line.seconds) == (HEAD, 0, 10.0)
    here = Estimator(local_cluster(HERE, 4), RateBook({"rates": [rate("bundle", work={})]}), PRICES)
    assert here.line("bundle", Todo(3, 1), DRIVER, Basis()).nodes == 1


def test_several_workers_share_a_machine():
    line = estimator(rate(hardware=A10G)).line("images", PAINTED, Ask(6, 1.0, 0.5), Basis())
    assert (line.workers, line.nodes) == (6, 3)
    assert line.gpu_hours == pytest.approx(line.worker_hours / 2)


def test_hardware_that_was_never_measured():
    line = estimator(rate()).line("images", PAINTED, PAINTERS, Basis())
    assert (line.rows, line.seconds, line.worker_hours, line.dollars) == (800, None, None, None)
    assert any("no rate measured on g5.2xlarge, 1 x NVIDIA A10G" in note for note in line.notes)


def test_a_machine_without_a_price():
    line = estimator(rate(), cluster=local_cluster(HERE, 4)).line("images", PAINTED, Ask(2, 1.0), Basis())
    assert (line.seconds, line.dollars) == (pytest.approx(410), None)
    assert any("no price for this machine" in note for note in line.notes)


def test_a_worker_that_fits_on_no_machine():
    line = estimator(rate()).line("images", PAINTED, Ask(1, 1.0, 4.0), Basis())
    assert line.seconds is None
    assert line.notes == ("no machine of the cluster has 1 CPUs and 4 GPUs for a worker",)


def test_what_two_runs_of_a_stage_took():
    line = estimator().took("images", [rate(hardware=A10G), rate(hardware=A10G, rows=150)], PAINTERS)
    assert (line.rows, line.shards, line.seconds) == (150, 8, 120.0)
    assert line.dollars == pytest.approx(120 / 3600 * 0.5)
    assert line.state == "took"


def test_what_ran_elsewhere_has_no_price_here():
    line = estimator().took("images", [rate()], PAINTERS)
    assert (line.seconds, line.dollars) == (60.0, None)
    assert line.notes == ("it ran on Some CPU, 2 cores",)
