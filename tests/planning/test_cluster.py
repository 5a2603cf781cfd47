from pathlib import Path

import pytest
import yaml

from jobs.planning.cluster import local_cluster, read_cluster
from jobs.planning.needs import Ask
from jobs.planning.prices import DEFAULT_PRICES, read_prices
from t2ipal.errors import UserError
from tests.planning.rates import HERE

ROOT = Path(__file__).parents[2]
GOOGLE = """
provider: {type: gcp, region: us-central1}
head_node_type: head
idle_timeout_minutes: 10
max_workers: 3
available_node_types:
  head:
    resources: {CPU: 0}
    node_config: {machineType: e2-standard-4}
  cpu:
    max_workers: 2
    idle_timeout_s: 30
    resources: {CPU: 8}
    labels: {pool: cheap}
    node_config: {machineType: n2-standard-8}
  gpu:
    resources: {CPU: 8, GPU: 1}
    node_config:
      machineType: zones/us-central1-a/machineTypes/g2-standard-8
      scheduling: [{preemptible: true}]
"""


@pytest.fixture
def google(tmp_path):
    file = tmp_path / "gcp.yaml"
    file.write_text(GOOGLE)
    return read_cluster(str(file), read_prices(DEFAULT_PRICES))


def test_the_machines_of_the_file_for_aws():
    cluster = read_cluster(str(ROOT / "cluster" / "aws.yaml"), read_prices(DEFAULT_PRICES))
    assert cluster.head.machine == "m5.xlarge"
    gpus = [each for each in cluster.types if each.gpus]
    assert gpus
    for each in gpus:
        assert each.region == "us-west-2"
        assert each.hardware.gpus[0].startswith("NVIDIA ")


def test_the_machines_of_a_file_for_google(google):
    cpu, gpu = google.types
    assert (cpu.machine, cpu.most, cpu.spot) == ("n2-standard-8", 2, False)
    assert (gpu.machine, gpu.most, gpu.spot) == ("g2-standard-8", 3, True)
    assert gpu.hardware.gpus == ("NVIDIA L4",)
    assert (google.head.name, google.most) == ("head", 3)
    assert (cpu.idle_s, gpu.idle_s) == (30, 600)


def test_work_goes_where_it_fits_and_cpu_work_away_from_gpus(google):
    assert [each.name for each in google.place(Ask(4, 1.0))] == ["cpu", "gpu"]
    assert [each.name for each in google.place(Ask(4, 1.0, 0.5))] == ["gpu"]
    assert google.place(Ask(4, 1.0, 2.0)) == []
    assert google.place(Ask(1, 1.0, on_driver=True)) == [google.head]


def test_work_goes_where_its_labels_are(google):
    assert [each.name for each in google.place(Ask(4, 1.0, labels={"pool": "cheap"}))] == ["cpu"]
    assert google.place(Ask(4, 1.0, labels={"pool": "dear"})) == []


def test_of_two_that_fit_the_one_that_ray_prefers(tmp_path):
    content = yaml.safe_load(GOOGLE)
    types = content["available_node_types"]
    types["gpu spot"] = types["gpu"] | {"priority": 1}
    (tmp_path / "two.yaml").write_text(yaml.safe_dump(content))
    cluster = read_cluster(str(tmp_path / "two.yaml"), read_prices(DEFAULT_PRICES))
    assert [each.name for each in cluster.place(Ask(1, 1.0, 1.0))] == ["gpu spot", "gpu"]


def test_how_many_workers_a_machine_has_room_for(google):
    cpu, gpu = google.types
    assert cpu.workers(Ask(99, 3.0)) == 2
    assert gpu.workers(Ask(99, 1.0, 0.25)) == 4
    assert gpu.workers(Ask(99, 0.0, 1.0)) == 1


def test_this_machine_is_a_cluster_of_one():
    cluster = local_cluster(HERE, cpus=4)
    assert cluster.is_ours
    assert cluster.place(Ask(9, 1.0))[0].workers(Ask(9, 1.0)) == 4
    assert local_cluster(HERE, cpus=None).head.cpus == 2


@pytest.mark.parametrize("text", ["a: 1", "[]", "provider: {}\nhead_node_type: x\navailable_node_types: {}"])
def test_another_file(tmp_path, text):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(UserError, match="no file of Ray's cluster launcher"):
        read_cluster(str(tmp_path / "x.yaml"), read_prices(DEFAULT_PRICES))
