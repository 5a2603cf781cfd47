import pytest

from jobs.benchmarks.scale import benchmark
from tests.recipes import tiny_recipe


@pytest.mark.whole_job
@pytest.mark.timeout(600)
def test_workers_and_drivers_are_measured(tmp_path):
    (tmp_path / "model_index.json").write_text("{}")  # nothing is loaded
    recipe = tiny_recipe(images={"model": str(tmp_path)})
    figures = benchmark(recipe, gpus=(1, 2), seconds=0.2, shards=4, planned=(512,)).figures
    assert figures["efficiency_at_1"] == figures["wall_clock_efficiency_at_1"] == 1
    for gpus in (1, 2):
        # The work of a worker is 0.8 s; its start comes on top, and the whole stage is slower for it.
        assert figures[f"seconds_at_{gpus}"] > 0.8
        assert 0 < 4 * gpus / figures[f"seconds_at_{gpus}"] < figures[f"shards_per_s_at_{gpus}"] <= gpus / 0.2
    assert figures["wall_clock_efficiency_at_2"] == figures["seconds_at_1"] / figures["seconds_at_2"]
    assert figures["driver_mib_at_512_rows"] > 0
    assert figures["captions_driver_rows_per_s_at_512"] > 0
