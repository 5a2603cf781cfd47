import pytest

from t2ipal.errors import UserError
from t2ipal.recipe import load_recipe
from t2ipal.tuning.grid import points_of
from t2ipal.tuning.trial import Trial
from tests.recipes import tiny_recipe


def settings(*given, recipe=None):
    return [point.settings for point in points_of(recipe or tiny_recipe(), given)]


def test_every_combination_in_the_order_of_a_counter():
    assert settings("methods.t2i_pal.alpha=0.2, 0.5", "tune.seed=0,1") == [
        {"methods.t2i_pal.alpha": alpha, "tune.seed": seed} for alpha in (0.2, 0.5) for seed in (0, 1)
    ]


def test_the_recipe_of_a_point_has_its_values_and_otherwise_its_own():
    recipe = tiny_recipe(methods={"t2i_pal": {"mix": 0.3, "schedule": {"epochs": 7}}}, tune={"holdout": 0.2})
    (point,) = points_of(recipe, ["methods.t2i_pal.schedule.batch=8"])
    assert point.recipe.methods.t2i_pal.schedule.batch == 8
    assert point.recipe.methods.t2i_pal.schedule.epochs == 7
    assert (point.recipe.methods.t2i_pal.mix, point.recipe.tune.holdout) == (0.3, 0.2)
    assert recipe.methods.t2i_pal.schedule.batch != 8
    assert point.recipe.fingerprint("features") == recipe.fingerprint("features")


def test_values_are_read_as_a_recipe_reads_them():
    assert settings("methods.t2i_pal.adapter=cache,null") == [
        {"methods.t2i_pal.adapter": "cache"},
        {"methods.t2i_pal.adapter": None},
    ]
    assert settings("methods.t2i_pal.prompt_lr=1e-3") == [{"methods.t2i_pal.prompt_lr": 0.001}]
    assert settings("methods.t2i_pal.heatmap=true,no") == [
        {"methods.t2i_pal.heatmap": True},
        {"methods.t2i_pal.heatmap": False},
    ]
    assert settings("methods.zero_shot.ensemble=['a {}', 'the {}']") == [
        {"methods.zero_shot.ensemble": ("a {}", "the {}")}
    ]


def test_points_of_equal_settings_share_a_trial_and_others_do_not(tmp_path):
    points = points_of(
        tiny_recipe(), ["tune.method=t2i_pal,tai_dpt", "methods.tai_dpt.mix=0.1,0.2", "tune.seed=0,1"]
    )
    digests = [Trial.of(point.recipe, None).settings_digest() for point in points]
    assert digests[:2] == digests[2:4]  # t2i_pal does not read what is of tai_dpt
    assert len(set(digests)) == 6


def test_the_paths_of_a_recipe_stay_as_they_were_written(tmp_path):
    import yaml

    data = tiny_recipe().model_dump(mode="json") | {"backbone": {"model": "./clip"}}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(data))
    recipe = load_recipe(tmp_path / "recipe.yaml")
    (point,) = points_of(recipe, ["tune.seed=0"])
    assert point.recipe.settings()["backbone"]["model"] == "./clip"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "nothing to sweep"),
        (["methods.t2i_pal.alpha"], "gives no values"),
        (["methods.t2i_pal.alpha="], "gives no values"),
        (["methods.t2i_pal.alpha=[0.2"], "cannot be read"),
        (["methods.t2i_pal.alpah=0.2"], "'methods.t2i_pal.alpah' is unknown; did you mean 'alpha'"),
        (["methods.t2i_pall.alpha=0.2"], "'methods.t2i_pall' is unknown; did you mean 't2i_pal'"),
        (["methods.t2i_pal.alpha=0.2,2"], r"alpha: .*less than or equal to 1"),
        (["methods.t2i_pal.alpha.x=2"], "alpha is no section"),
        (["methods.t2i_pal=2"], r"methods.t2i_pal is .*no section"),
        (["methods.t2i_pal.alpha=0.2", "methods.t2i_pal.alpha=0.3"], "given twice"),
        (["methods.t2i_pal.alpha=0.2,0.2"], "is there twice"),
        (["methods.t2i_pal.alpha=0.2,0.20"], "is there twice"),
        (["methods.pvp.alpha=0.2,0.3"], "methods.pvp.alpha is not read by t2i_pal"),
        (["images.steps=2,3"], "images.steps is none of tuning"),
        (["seed=0,1"], r"seed is none of tuning.*\n.*did you mean 'tune.seed'"),
        (["tune.workers=0,1"], "tune.workers changes no result"),
        (["tune.classes_without_samples=warn"], "changes no result"),
        (["tune.sed=0,1"], r"there is no tune.sed\n.*'tune.seed'"),
        (["tune.method=zero_shot"], "tune.method: .*t2i_pal"),
        (
            ["methods.t2i_pal.image_branch=false", "methods.t2i_pal.caption_branch=false"],
            "learns from nothing",
        ),
    ],
)
def test_what_cannot_be_swept_is_told(given, message):
    with pytest.raises(UserError, match=message):
        points_of(tiny_recipe(), given)


def test_a_field_is_read_if_one_of_the_methods_reads_it():
    assert len(settings("methods.pvp.alpha=0.2,0.3", "tune.method=t2i_pal,pvp")) == 4
