import copy
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from t2ipal.errors import UserError
from t2ipal.recipe import Recipe, load_recipe

DATA = {
    "name": "small",
    "run": "runs/small",
    "vocabulary": {"cat": ["kitten"], "dog": []},
    "captions": {"model": "./writer", "count": 8, "prompt": "write about {classes}"},
    "images": {"model": "hub/painter", "steps": 2, "guidance": 3.0, "size": 32},
    "backbone": {"model": "RN50-quickgelu", "pretrained": "openai"},
}
SHIPPED = sorted((Path(__file__).parents[1] / "jobs" / "recipes").glob("*.yaml"))


def changed(key, value):
    """Return DATA with a dotted key set, or removed where the value is None."""
    data = copy.deepcopy(DATA)
    *sections, last = key.split(".")
    section = data
    for name in sections:
        section = section.setdefault(name, {})
    if value is None:
        del section[last]
    else:
        section[last] = value
    return data


def load(tmp_path, data):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return load_recipe(path)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_recipe_is_valid(path):
    assert load_recipe(path).name == path.stem


def test_recipes_are_shipped():
    assert {path.stem for path in SHIPPED} >= {"offline", "coco2014", "voc2007", "nuswide"}


def test_a_test_set_is_a_path_unless_it_is_none_or_the_picture_world(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")

    def dataset(value):
        data = changed("evaluate.dataset", "x")
        data["evaluate"]["dataset"] = value
        return load(tmp_path, data).evaluate.dataset

    assert dataset("data/val") == str(tmp_path / "data" / "val")
    assert dataset("~/val") == "/home/someone/val"
    assert dataset("/data/val") == "/data/val"
    assert dataset("picturebook") == "picturebook"
    assert dataset(None) is None


def test_a_file_of_captions_is_always_a_path(tmp_path):
    files = {"path": "picturebook", "exclude_images": "ids/val.txt"}
    data = changed("captions", None) | {"annotated_captions": files}
    recipe = load(tmp_path, data)
    source = recipe.caption_source
    assert (source.path, source.exclude_images) == (
        str(tmp_path / "picturebook"),
        str(tmp_path / "ids" / "val.txt"),
    )
    assert recipe.settings()["annotated_captions"]["path"] == "picturebook"
    assert set(recipe.relative_paths()) == set(source.files())


def test_a_vocabulary_file_becomes_part_of_the_recipe(tmp_path):
    (tmp_path / "classes.yaml").write_text("- fox\n- owl\n")
    recipe = load(tmp_path, changed("vocabulary", "classes.yaml"))
    assert recipe.vocabulary == {"fox": (), "owl": ()}


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("captions.promt", "x", r"'captions.promt' is unknown; did you mean 'prompt'"),
        ("tune.holdot", 0.3, r"'tune.holdot' is unknown; did you mean 'holdout'"),
        ("methods.t2i_pal.promt_lr", 1, r"'methods.t2i_pal.promt_lr' is unknown; did you mean 'prompt_lr'"),
        ("methods.xyz", {}, r"'methods.xyz' is unknown; it can be one of: zero_shot, .*t2i_pal_pvp"),
        ("methods.zero_shot.template", "a photo", r"methods.zero_shot.template: .*pattern"),
        ("methods.zero_shot.ensemble", [], r"methods.zero_shot.ensemble: .*at least 1"),
        ("methods.pvp.dropout", 1.0, r"methods.pvp.dropout: .*less than 1"),
        ("tune.method", "zero_shot", r"tune.method: .*t2i_pal"),
        ("tune.holdout", 1.0, r"tune.holdout: .*less than 1"),
        ("tune.workers", -1, r"tune.workers.min: .*greater than or equal to 0"),
        ("tune.workers", {"min": 0, "max": 2}, r"tune.workers: min is 0; let it be 1 or more"),
        ("tune.workers", {"min": 3, "max": 2}, r"tune.workers: min \(3\) is above max \(2\)"),
        ("tune.workers.mni", 1, r"'tune.workers.mni' is unknown; did you mean 'min'"),
        ("tune.precision", "float16", r"tune: precision is float16, which needs GPUs"),
        ("tune.precision", "fp8", r"tune.precision: .*bfloat16"),
        ("tune.accumulate", 0, r"tune.accumulate: .*greater than or equal to 1"),
        ("imagse", {}, r"'imagse' is unknown; did you mean 'images'"),
        ("images.workers.zzz", 1, r"'images.workers.zzz' is unknown; it can be one of: min, max, cpus, gpus"),
        ("captions.model", None, r"'captions.model' is missing"),
        ("captions.count", 0, r"captions.count: .*greater than or equal to 1"),
        ("captions.prompt", "write", r'captions.prompt: .*does not hold "\{classes\}"'),
        ("captions.prompt", "{classes} and {dog}", r'captions.prompt: .*holds "\{dog\}"; only "\{classes\}"'),
        ("captions.attempts", 0, r"captions.attempts: .*greater than or equal to 1"),
        ("captions.drop_similar", 0.3, r"captions.drop_similar: .*greater than or equal to 0.5"),
        ("captions.prior", {}, r"captions.prior: of corpus .* neither is given; give one of the two"),
        (
            "captions.prior",
            {"corpus": "a.txt", "prompt": "{class}"},
            r"captions.prior: of corpus .* both are given",
        ),
        ("captions.prior", {"prompt": "x"}, r'captions.prior.prompt: .*does not hold "\{class\}"'),
        ("captions.prior", {"corpus": "a.txt", "uniform": 0}, r"captions.prior.uniform: .*greater than 0"),
        (
            "captions.prior",
            {"corpus": "a.txt", "balanc": 0},
            r"'captions.prior.balanc' is unknown; did you mean 'balance'",
        ),
        ("captions.endpoint", {"url": "127.0.0.1:8000"}, r"captions.endpoint.url: .*pattern"),
        (
            "captions.endpoint",
            {"key_varable": "x"},
            r"'captions.endpoint.key_varable' is unknown; did you mean 'key_variable",
        ),
        ("captions.classes_per_caption", [3, 1], r"captions.classes_per_caption: .*above"),
        ("images.workers", {"min": 3, "max": 2}, r"images.workers: min \(3\) is above max \(2\)"),
        ("images.format", "gif", r"images.format: .*webp"),
        ("evaluate.baselines", ["t2i_pal"], r"evaluate.baselines.*: .*zero_shot"),
        ("images.size", 500, r"images.size: .*multiple of 8"),
        ("images.size", [512, 500], r"images.size: .*multiple of 8"),
        ("images.size", [512], r"images.size: \[512\] is neither a number of pixels"),
        ("images.size", "big", r"images.size: 'big' is neither a number of pixels"),
        (
            "images.options",
            {"guidance_scale": 1},
            r"images.options: guidance_scale is set by images.guidance",
        ),
        ("images.options", {"generator": 1}, r"images.options: generator is set by the job itself"),
        ("images.agreement", {}, r"images.agreement: neither lowest nor top is given"),
        ("images.agreement", {"top": 2}, r"images.agreement.top is 2, and there are 2 classes"),
        ("images.agreement", {"lowest": 1.0}, r"images.agreement.lowest: .*less than 1"),
        (
            "captions.engine",
            {"tensor_parallel_size": "2"},
            r"tensor_parallel_size is '2'; it must be a whole",
        ),
        (
            "captions.engine",
            {"pipeline_parallel_size": 0},
            r"pipeline_parallel_size is 0; it must be a whole",
        ),
        ("captions.workers", {"gpus": 2}, r"workers.gpus is 2, and the engine has 1 parts"),
        ("captions", None, r"\n  of captions .* neither is given; give one of the two"),
        ("annotated_captions", {"path": "a.txt"}, r"\n  of captions .* both are given; give one of the two"),
        ("annotated_captions", {}, r"'annotated_captions.path' is missing"),
        (
            "annotated_captions",
            {"path": "a.txt", "perclass": 1},
            r"'annotated_captions.perclass' is unknown; did you mean 'per_class'",
        ),
        ("serve.application", "a/b", r"serve.application: .*pattern"),
        ("captions.drop_similar", True, r"captions.drop_similar is True, which is no number"),
        ("captions.attempts", True, r"captions.attempts is True, which is no whole number"),
        ("captions.attempts", "3", r"captions.attempts is '3', which is no whole number"),
        (
            "captions.classes_per_caption",
            [1, "3"],
            r"captions.classes_per_caption.1 is '3', which is no whole",
        ),
        ("captions.classes_per_caption", [1], r"captions.classes_per_caption: the list is too short"),
        ("captions.classes_per_caption", 3, r"captions.classes_per_caption is 3, which is no list"),
        ("seed", "0", r"seed is '0', which is no whole number"),
        ("images.steps", 2.0, r"images.steps is 2.0, which is no whole number"),
        ("images.guidance", float("nan"), r"images.guidance: .* finite number"),
        ("tune.gpu", 1, r"tune.gpu is 1, which is neither true nor false"),
        ("tune.workers", "2", r"tune.workers: '2' is neither a number of workers nor \{min, max\}"),
        ("tune.workers", True, r"tune.workers: True is neither a number of workers"),
        ("evaluate.split", 2014, r"evaluate.split is 2014, which is no text; put it in quotes"),
        ("annotated_captions", ["a.txt"], r"annotated_captions is \['a.txt'\], which is no section"),
        ("vocabulary", 3, r"the vocabulary is 3"),
        ("vocabulary", [], r"no classes"),
        ("vocabulary", ["cat", "cat"], r"'cat' is listed twice"),
    ],
)
def test_mistakes_are_named(tmp_path, key, value, problem):
    with pytest.raises(UserError, match=problem):
        load(tmp_path, changed(key, value))


def test_whole_numbers_are_numbers_and_lists_are_taken(tmp_path):
    recipe = load(tmp_path, changed("images.guidance", 3) | {"evaluate": {"baselines": ["zero_shot"]}})
    assert recipe.images.guidance == 3.0
    assert recipe.evaluate.baselines == ("zero_shot",)
    assert Recipe.model_validate(recipe.settings()).settings() == recipe.settings()


def test_an_exponent_needs_no_dot(tmp_path):
    text = yaml.safe_dump(DATA) + "methods: {t2i_pal: {prompt_lr: 1e-4, head_lr: 5E-3}}\n"
    (path := tmp_path / "recipe.yaml").write_text(text)
    settings = load_recipe(path).methods.t2i_pal
    assert (settings.prompt_lr, settings.head_lr) == (0.0001, 0.005)
    path.write_text(text.replace("1e-4", '"1e-4"'))
    with pytest.raises(UserError, match="prompt_lr is '1e-4', which is no number"):
        load_recipe(path)


def test_all_mistakes_are_told_at_once(tmp_path):
    data = changed("captions.count", -1) | {"colour": 1}
    with pytest.raises(UserError) as caught:
        load(tmp_path, data)
    assert "captions.count" in str(caught.value)
    assert "colour" in str(caught.value)


def test_a_file_that_is_not_a_recipe(tmp_path):
    (tmp_path / "list.yaml").write_text("- a\n")
    with pytest.raises(UserError, match="not a mapping"):
        load_recipe(tmp_path / "list.yaml")


def test_recipes_are_frozen(tmp_path):
    recipe = load(tmp_path, DATA)
    with pytest.raises(ValueError, match="frozen"):
        recipe.seed = 1


GOLDEN = {
    "captions": "8e8b578d312c0d4d",
    "images": "6ed775af21387f2f",
    "features": "0acb8868fc70bad7",
    "caption_features": "f4958eee67dc1ddc",
    "train_features": "dc99cc8d23e7d6ae",
}
CAPTIONS_ON = {"captions", "images", "features", "caption_features", "tune", "evaluate", "bundle"}


@pytest.mark.parametrize(
    ("key", "value", "stages"),
    [
        ("seed", 7, CAPTIONS_ON),
        (
            "vocabulary",
            {"dog": [], "cat": ["kitten"]},
            CAPTIONS_ON | {"test_features", "train_features"},
        ),  # another order, other indices
        ("captions.engine", {"dtype": "float32"}, CAPTIONS_ON),
        ("captions.engine", {"max_num_seqs": 4}, set()),
        ("captions.engine", {"tensor_parallel_size": 2, "pipeline_parallel_size": 2}, set()),
        ("captions.batch", 3, set()),
        ("captions.attempts", 2, CAPTIONS_ON),
        ("captions.drop_similar", 1.0, CAPTIONS_ON),
        ("captions.prior", {"prompt": "with {class}?"}, CAPTIONS_ON),
        ("captions.endpoint", {"url": "http://a/v1"}, set()),
        ("images.steps", 3, CAPTIONS_ON - {"captions", "caption_features"}),
        ("images.captions", 5, CAPTIONS_ON - {"captions", "caption_features"}),
        ("images.workers", {"min": 2, "max": 5}, set()),
        ("images.batch", 5, set()),
        ("images.options", {"clip_skip": 1}, CAPTIONS_ON - {"captions", "caption_features"}),
        ("images.agreement", {"lowest": 0.2}, {"tune", "evaluate", "bundle"}),  # nothing is painted again
        (
            "backbone.pretrained",
            "yfcc15m",
            CAPTIONS_ON - {"captions", "images"} | {"test_features", "train_features"},
        ),
        ("features", {"views": 3}, {"features", "tune", "evaluate", "bundle"}),
        ("features", {"least_area": 0.2, "batch": 3}, set()),  # no crop is made
        ("methods.t2i_pal.schedule.epochs", 99, {"tune", "evaluate", "bundle"}),
        ("methods.t2i_pal.schedule.batch", 7, {"tune", "evaluate", "bundle"}),
        ("methods.zero_shot.template", "the {}", {"tune", "evaluate", "bundle"}),
        ("methods.dual_coop.k", 1.0, set()),  # of what the job does not tune
        ("methods.pvp.contrast", 0.9, set()),
        ("methods.fusion.few_shot", 0.9, set()),
        ("tune.method", "pvp", {"tune", "evaluate", "bundle"}),
        ("tune.holdout", 0.3, {"tune", "evaluate", "bundle"}),
        ("tune.workers", 2, set()),
        ("tune.workers", {"min": 2, "max": 9}, set()),
        ("tune.accumulate", 4, set()),
        ("tune.features", "disk", set()),
        ("tune.precision", "bfloat16", {"tune", "evaluate", "bundle"}),
        ("tune.gpu", True, set()),
        ("evaluate.split", "dev", {"test_features", "evaluate", "bundle"}),
        ("evaluate.train_split", "dev", {"train_features"}),
        ("evaluate.baselines", ["zero_shot"], {"evaluate", "bundle"}),
        ("serve.port", 9000, set()),
        ("serve.application", "other", set()),
        ("serve.labels", {"t2ipal/pool": "replicas"}, set()),
        ("images.workers", {"labels": {"t2ipal/pool": "painters"}}, set()),
        ("tune.workers", {"labels": {"t2ipal/pool": "tuners"}}, set()),
        ("ray.num_cpus", 3, set()),
        ("name", "other", set()),
    ],
)
def test_a_fingerprint_changes_exactly_with_what_determines_the_output(key, value, stages):
    before = Recipe.model_validate(DATA)
    after = Recipe.model_validate(changed(key, value))
    old, new = before.fingerprints(), after.fingerprints()
    assert {stage for stage in old if old[stage] != new[stage]} == stages
    differing = after.differences(before.model_dump(mode="json"))
    assert bool(differing) == bool(stages)
    assert all(name.startswith(key) for name in differing)


def test_the_settings_of_all_that_is_within_the_tuned_method_count():
    before = Recipe.model_validate(DATA | {"tune": {"method": "t2i_pal_pvp"}})
    for key in ("t2i_pal.schedule.epochs", "pvp.contrast", "t2i_pal_pvp.share"):
        after = Recipe.model_validate(
            changed(f"methods.{key}", 0.9 if "epochs" not in key else 99)
            | {"tune": {"method": "t2i_pal_pvp"}}
        )
        assert after.fingerprint("tune") != before.fingerprint("tune")
        assert after.differences(before.settings()) == [f"methods.{key}"]


def test_a_corpus_is_a_path(tmp_path):
    recipe = load(tmp_path, changed("captions.prior", {"corpus": "corpus.txt"}))
    assert recipe.caption_source.files() == {"captions.prior.corpus": str(tmp_path / "corpus.txt")}
    assert recipe.settings()["captions"]["prior"]["corpus"] == "corpus.txt"
    assert load(tmp_path, DATA).caption_source.files() == {}


@pytest.mark.parametrize(
    ("key", "value"), [("path", "b.txt"), ("per_class", 3), ("max_captions", 9), ("shard_rows", 7)]
)
def test_what_is_taken_of_a_file_of_captions_determines_the_output(key, value):
    source = {"annotated_captions": {"path": "a.txt"}}
    before = Recipe.model_validate(changed("captions", None) | source)
    source["annotated_captions"][key] = value
    after = Recipe.model_validate(changed("captions", None) | source)
    old, new = before.fingerprints(), after.fingerprints()
    assert {stage for stage in old if old[stage] != new[stage]} == CAPTIONS_ON
    assert after.differences(before.settings()) == [f"annotated_captions.{key}"]


def test_fingerprints_of_former_versions_stay():
    # Golden: a change here would make every run folder that is there one of another recipe.
    before = changed("images.shard_rows", 256)  # then the default
    fingerprints = Recipe.model_validate(before).fingerprints()
    assert {stage: fingerprints[stage] for stage in GOLDEN} == GOLDEN


def test_runs_with_captions_of_a_file_in_its_own_order_are_other_ones():
    recipe = Recipe.model_validate(changed("captions", None) | {"annotated_captions": {"path": "a.txt"}})
    assert recipe.fingerprint("captions") != "752872762f337832"


def test_more_captions_to_paint_than_there_are_is_refused():
    with pytest.raises(ValidationError, match=r"images.captions is 9, and there are at most 8"):
        Recipe.model_validate(changed("images.captions", 9))
    source = {"annotated_captions": {"path": "a.txt", "max_captions": 4}}
    with pytest.raises(ValidationError, match=r"there are at most 4 \(annotated_captions.max_captions\)"):
        Recipe.model_validate(changed("images.captions", 5) | {"captions": None} | source)


def test_fingerprint_of_one_stage():
    recipe = Recipe.model_validate(DATA)
    assert recipe.fingerprint("images") == recipe.fingerprints()["images"]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"pool": "a painter"}, "'a painter' is no value of a label"),
        ({"pool": "in(a,b)"}, "is no value"),
        ({"pool": "x" * 64}, "is no value"),
        ({"-pool": "painters"}, "'-pool' is no name of a label"),
        ({"T2I/pool": "painters"}, "is no name"),
        (["painters"], "is no section"),
    ],
)
def test_labels_that_no_node_may_have_are_refused(tmp_path, labels, message):
    with pytest.raises(UserError, match=rf"images\.workers\.labels.*{message}"):
        load(tmp_path, changed("images.workers", {"labels": labels}))
    good = {"t2ipal/pool": "painters", "ray.io/market-type": "spot", "a": ""}
    assert load(tmp_path, changed("images.workers", {"labels": good})).images.workers.labels == good
