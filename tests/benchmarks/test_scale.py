import pytest

from jobs.benchmarks.scale import benchmark
from tests.recipes import tiny_recipe


@pytest.mark.slow
@pytest.mark.whole_job
@pytest.mark.timeout(600)
def test_workers_and_drivers_are_measured(tmp_path):
    (tmp_path / "model_index.json").write_text("{}")  # nothing is loaded
    recipe = tiny_recipe(images={"model": str(tmp_path)})
    # Long enough for either worker to have its share, though one of them comes later.
    figures = benchmark(recipe, gpus=(1, 2), seconds=1.0, shards=8, planned=(512,)).figures
    assert figures["efficiency_at_1"] == figures["wall_clock_efficiency_at_1"] == 1
    for gpus in (1, 2):
        assert 0 < figures[f"shards_per_s_at_{gpus}"] < 1.05 * gpus
        assert figures[f"seconds_at_{gpus}"] > 8  # the start comes on top of 8 shards each
    assert figures["wall_clock_efficiency_at_2"] == figures["seconds_at_1"] / figures["seconds_at_2"]
    assert figures["driver_mib_at_512_rows"] >= 0  # less than what it had taken before
    assert figures["captions_driver_rows_per_s_at_512"] > 0
