from pathlib import Path

import pytest
from transformers import AutoConfig, AutoTokenizer

from jobs.benchmarks.captions import benchmark, default_recipe, one_engine
from jobs.benchmarks.random_model import save_random_model
from jobs.preflight import check_paths
from t2ipal.errors import UserError
from tests.recipes import tiny_recipe
from tests.tiny_models import save_writer


def test_a_round_asks_one_engine_once_for_each_answer():
    asked = {"count": 3, "shard_rows": 4, "candidates": 2, "workers": {"min": 2, "max": 3}}
    every = {"attempts": 3, "drop_similar": 0.9, "prior": {"corpus": "unused"}}
    captions = one_engine(tiny_recipe(captions=asked | every, images={"captions": 2}), 25).captions
    assert captions.count * captions.candidates == 32  # whole shards
    assert (captions.workers.min, captions.workers.max) == (1, 1)
    assert (captions.attempts, captions.drop_similar, captions.prior) == (1, None, None)


@pytest.mark.parametrize(
    ("sections", "why"),
    [
        ({"captions": {"endpoint": {"url": "http://127.0.0.1:1/v1"}}}, r"captions\.endpoint"),
        ({"captions": None, "annotated_captions": {"path": "unused"}}, "no section captions"),
    ],
)
def test_no_engine_of_the_jobs_own_to_measure(sections, why):
    with pytest.raises(UserError, match=why):
        one_engine(tiny_recipe(**sections), 8)


def test_the_recipe_of_a_full_size_model(tmp_path, monkeypatch):
    here, made = Path(__file__).parents[2], []
    monkeypatch.setattr("jobs.benchmarks.captions.save_random_model", made.append)
    recipe = default_recipe()
    check_paths(recipe)
    (folder,) = made
    assert Path(recipe.captions.model) == folder == here / "runs" / "random_writer"  # which git ignores
    asked = one_engine(recipe, 384).captions
    assert asked.count * asked.candidates == 384
    folder = tmp_path / "random_writer"
    save_random_model(folder)
    config = AutoConfig.from_pretrained(folder)
    assert (config.hidden_size, config.num_hidden_layers) == (896, 24)
    assert len(AutoTokenizer.from_pretrained(folder)) == config.vocab_size


@pytest.mark.slow
@pytest.mark.whole_job
@pytest.mark.timeout(600)
def test_the_stage_beside_the_engine_in_its_own_set_up(tmp_path, monkeypatch):
    monkeypatch.delenv("VLLM_ENABLE_V1_MULTIPROCESSING", raising=False)
    save_writer(tmp_path, ["fish", "house", "tree", "write", "caption", "with", "."])
    engine = {"max_model_len": 32, "enforce_eager": True, "dtype": "float32"}
    asked = {"model": str(tmp_path), "max_tokens": 4, "engine": engine, "workers": {"cpus": 0.5}}
    recipe = tiny_recipe(captions=asked | {"candidates": 2, "shard_rows": 32}, ray={"num_cpus": 4})
    report = benchmark(recipe, rows=450, rounds=1)
    settings, figures = report.settings, report.figures
    (bare_s,), (stage_s,) = figures["bare_s_per_row"], figures["stage_s_per_row"]
    assert figures["ratio_to_bare"] == bare_s / stage_s > 0
    assert (settings["rows_before"], settings["rows"]) == (128, 512)  # whole shards of 64
    assert settings["bare_engine"]["max_num_seqs"] == 256  # vLLM's own choice
    assert "max_num_seqs" not in engine
    assert settings["bare_environment"]["VLLM_ENABLE_V1_MULTIPROCESSING"] == "1"
    assert settings["stage_environment"]["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"
    for side in ("bare", "stage"):
        assert settings[f"{side}_environment"]["RAY_worker_niceness"] == "0"
        assert settings[f"{side}_engine"]["max_model_len"] == 32
