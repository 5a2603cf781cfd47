"""`jobs/pipeline.py --plan`, as its user starts it and from within."""

import time
from pathlib import Path

import pytest
import yaml

from jobs.pipeline import STAGES
from jobs.planning import plan
from jobs.planning.needs import DEPLOY, START, basis
from jobs.planning.rates import Measured, RatesFile
from jobs.planning.record import Recorder
from jobs.planning.table import plan_table
from t2ipal.errors import UserError
from t2ipal.run_files import RATES
from t2ipal.stages import images
from t2ipal.store import Store
from tests.finished_images import finished_images
from tests.planning.rates import A10G, HERE, rate
from tests.recipes import tiny_recipe
from tests.test_pipeline import ROOT, assert_refused, small_recipe, start

EVERY = [*STAGES, DEPLOY]
AWS = str(ROOT / "cluster" / "aws.yaml")
WORK = {"captions": "answers", "images": "images", "evaluate": "scored", "tune": "tune"}


def on_aws():
    """A recipe for GPUs, and rates of all of its stages on the machines of the cluster file."""
    pool = {"max": 4, "gpus": 1.0}
    recipe = tiny_recipe(
        captions={"workers": pool},
        images={"workers": pool},
        features={"workers": pool},
        tune={"gpu": True},
        serve={"gpus": 1.0},
        evaluate={"dataset": None},
    )
    kinds = {name: (kind,) for name, kind in WORK.items()} | {"features": ("features", "caption_features")}
    head = HERE.model_copy(update={"type": "m5.xlarge"})
    rates = [
        rate(
            stage,
            settings=basis(recipe, stage).settings,
            hardware=head if stage in (START, "bundle", "report") else A10G,
            work={kind: Measured(amount=10, seconds=10.0) for kind in kinds.get(stage, ())},
        )
        for stage in (START, *EVERY)
        if stage != "evaluate"
    ]
    return recipe, rates


def written(folder, rates):
    store = Store.open(str(folder))
    store.write_json(RATES, RatesFile(rates=tuple(rates)).model_dump(mode="json"))
    return store.uri


def planned(recipe, folder, given, stages=EVERY):
    store = plan.opened(recipe, str(folder / "nowhere"))
    work = [stage for stage in stages if stage not in (DEPLOY, "evaluate")]
    lines = plan.plan(recipe, store, stages, work, DEPLOY in stages, given)
    assert not (folder / "nowhere").exists()
    return {line.stage: line for line in lines}


def test_a_plan_of_a_run_not_begun_starts_nothing_and_writes_nothing(tmp_path):
    recipe = small_recipe(tmp_path)
    begin = time.monotonic()
    result = start("--recipe", recipe, "--plan", PYTHONPROFILEIMPORTTIME="1")
    assert result.returncode == 0, result.stderr
    assert time.monotonic() - begin < 10
    imported = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    assert not imported & {"ray", "torch", "vllm", "diffusers", "open_clip"}
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.yaml"]
    for stage in EVERY:
        assert f"\n{stage}" in result.stdout
    assert "48" in result.stdout  # captions
    assert "no price for this machine" in result.stdout


def test_what_is_wrong_is_found_as_when_it_is_run(tmp_path):
    assert_refused(
        start("--plan", "--recipe", small_recipe(tmp_path, tune__holdot=0.3)), "did you mean 'holdout'"
    )
    assert_refused(
        start("--plan", "--recipe", small_recipe(tmp_path, backbone__model="./no")), "backbone.model"
    )
    recipe = small_recipe(tmp_path)
    assert_refused(start("--plan", "--recipe", recipe, "--stages", "images"), "needs the stage 'captions'")
    assert_refused(
        start("--plan", "--recipe", recipe, "--cluster", recipe), "no file of Ray's cluster launcher"
    )
    assert_refused(start("--plan", "--recipe", recipe, "--rates", tmp_path / "none"), "--rates")
    assert_refused(start("--plan", "--recipe", recipe, "--prices", tmp_path / "none"), "price table")
    assert not (tmp_path / "run").exists()


def test_a_run_of_another_recipe_is_refused_and_left_as_it_is(tmp_path):
    start("--recipe", small_recipe(tmp_path), "--stages", "images")  # ends at the order of the stages
    (tmp_path / "run" / "images").mkdir()
    (tmp_path / "run" / "images" / "images-00000-000.parquet").write_bytes(b"")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}
    other = small_recipe(tmp_path, images__guidance=9.0)
    assert_refused(start("--plan", "--recipe", other), "another recipe", "images.guidance")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")} == before


def test_a_cluster_file_gives_machines_and_prices(tmp_path):
    recipe, rates = on_aws()
    lines = planned(recipe, tmp_path, plan.Sources(AWS, (written(tmp_path / "small", rates),)))
    assert lines["evaluate"].state == "nothing left"
    for stage in ("captions", "images", "features", "tune", DEPLOY):
        assert lines[stage].node.machine == "g5.2xlarge"
        assert lines[stage].gpu_hours > 0
        assert lines[stage].dollars == pytest.approx(lines[stage].nodes * lines[stage].seconds / 3600 * 1.212)
    assert (lines["bundle"].node.machine, lines["bundle"].dollars) == ("m5.xlarge", 0)
    whole = sum(line.seconds for line in lines.values() if line.seconds)
    assert lines["(head)"].dollars == pytest.approx(whole / 3600 * 0.192)
    assert lines["(idle)"].dollars > 0
    text = plan_table(list(lines.values()))
    assert "no spot price for g5.2xlarge: counted on demand, at most $1.212" in text
    assert "until they are given back, without work" in text


def test_without_rates_on_these_machines_nothing_is_guessed(tmp_path):
    recipe, rates = on_aws()
    here = [each.model_copy(update={"hardware": HERE}) for each in rates]
    lines = planned(recipe, tmp_path, plan.Sources(AWS, (written(tmp_path / "small", here),)))
    for stage in ("captions", "images", "features", "tune", DEPLOY, "bundle"):
        assert lines[stage].seconds is lines[stage].dollars is None
        assert lines[stage].rows > 0
    assert lines["(head)"].dollars is None
    assert "no rate measured on g5.2xlarge, 1 x NVIDIA A10G; known: 10 s once" in plan_table(
        [*lines.values()]
    )


def test_what_is_done_is_told_with_what_it_took(tmp_path):
    recipe, store = finished_images(tmp_path)
    recorder = Recorder(recipe, store, joins=False)
    recorder.took(START)
    store.shards("images").delete([name := next(iter(store.shards("images").done()))])
    written(store.uri, [rate("images", settings=basis(recipe, "images").settings, shards=5, rows=46)])
    lines = plan.plan(recipe, store, ["captions", "images"], ["images"], False, plan.Sources())
    told = {(line.stage, line.state): line for line in lines}
    assert list(told) == [
        (START, "to do"),
        ("captions", "nothing left"),
        ("images", "took"),
        ("images", "to do"),
    ]
    assert told["images", "took"].seconds == 60.0
    assert told["images", "to do"].shards == 1, name
    assert images.pending(recipe, store) == [name]


def test_what_was_tuned_with_other_settings_is_not_told(tmp_path):
    recipe, store = finished_images(tmp_path)
    written(store.uri, [rate("images", settings={"images.size": 8})])
    (line,) = plan.plan(recipe, store, ["images"], [], False, plan.Sources())
    assert line.state == "nothing left"


def test_a_total_says_that_parts_of_it_are_not_known(tmp_path):
    recipe, rates = on_aws()
    some = [each for each in rates if each.stage != "images"]
    lines = planned(recipe, tmp_path, plan.Sources(AWS, (written(tmp_path / "small", some),)))
    total = plan_table(list(lines.values())).splitlines()
    (last,) = [line for line in total if line.startswith("all")]
    assert "> " in last


def test_a_machine_type_without_a_price_is_said(tmp_path):
    recipe, rates = on_aws()
    content = yaml.safe_load(Path(AWS).read_text())
    for node in content["available_node_types"].values():
        if node["resources"].get("GPU"):
            node["node_config"]["InstanceType"] = "x9.huge"
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
    given = plan.Sources(str(tmp_path / "mine.yaml"), (written(tmp_path / "small", rates),))
    assert any("no price for x9.huge" in note for note in planned(recipe, tmp_path, given)["images"].notes)


def test_a_run_folder_on_no_store(tmp_path):
    with pytest.raises(UserError):
        plan.opened(tiny_recipe(), "s4://nowhere/run")
