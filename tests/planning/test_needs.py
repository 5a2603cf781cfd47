import pytest

from jobs.pipeline import STAGES
from jobs.planning.needs import DEPLOY, START, Ask, ask, basis, phases
from t2ipal.clip import load_backbone
from t2ipal.methods import build_method
from t2ipal.recipe import BackboneRecipe
from tests.recipes import tiny_recipe
from tests.tiny_clip import tiny_folder

EVERY = (START, *STAGES, DEPLOY)
METHODS = [
    ("tai_dpt", {}),
    ("pvp", {}),
    ("pvp", {"pvp": {"pretraining": False}}),
    ("pvp", {"pvp": {"visual_prompts": False}}),
    ("t2i_pal", {}),
    ("t2i_pal", {"t2i_pal": {"image_branch": False, "templates": 5}}),
    ("t2i_pal_pvp", {}),
    ("t2i_pal_pvp", {"t2i_pal_pvp": {"judge": "t2i_pal"}}),
]


@pytest.mark.parametrize(("method", "settings"), METHODS, ids=str)
def test_the_phases_are_those_of_the_method(method, settings):
    short = {"context": 4}  # the tiny backbone takes 16 tokens
    methods = {name: short | settings.get(name, {}) for name in ("tai_dpt", "pvp", "t2i_pal")}
    recipe = tiny_recipe(tune={"method": method}, methods=settings | methods)
    backbone = load_backbone(BackboneRecipe(model=tiny_folder("resnet")))
    real = build_method(method, backbone, ["fish", "house", "tree"], recipe.methods, 0).phases()
    assert [(p.name, p.rows, p.schedule, p.templates) for p in phases(recipe)] == [
        (p.name, p.rows, p.schedule, p.templates) for p in real
    ]


def test_workers_with_gpus():
    workers = {"max": 4, "gpus": 1.0}
    recipe = tiny_recipe(images={"workers": workers}, tune={"gpu": True, "workers": 2})
    assert ask(recipe, "images") == Ask(4, 1.0, 1.0)
    assert ask(recipe, "tune") == Ask(2, 0.0, 1.0)
    assert ask(recipe, DEPLOY) == Ask(1, 1.0)


def test_what_works_in_the_driver():
    recipe = tiny_recipe(tune={"workers": 0}, captions={"endpoint": {"url": "http://127.0.0.1:1/v1"}})
    driver = [stage for stage in EVERY if ask(recipe, stage).on_driver]
    assert driver == [START, "captions", "tune", "evaluate", "bundle", "report"]


@pytest.mark.parametrize(
    ("stage", "changes"),
    [
        ("captions", {"captions": {"model": "other"}}),
        ("captions", {"captions": {"engine": {"dtype": "float32"}}}),
        ("captions", {"captions": {"endpoint": {"url": "http://127.0.0.1:1/v1"}}}),
        ("images", {"images": {"size": 64}}),
        ("images", {"images": {"guidance": 0.0}}),
        ("features", {"backbone": {"image_size": 64}}),
        ("tune", {"tune": {"method": "tai_dpt"}}),
        ("tune", {"vocabulary": {"owl": []}}),
        ("tune", {"methods": {"t2i_pal": {"schedule": {"batch": 64}}}}),
        ("evaluate", {"evaluate": {"baselines": []}}),
    ],
)
def test_what_makes_another_rate(stage, changes):
    assert basis(tiny_recipe(), stage).settings != basis(tiny_recipe(**changes), stage).settings


@pytest.mark.parametrize(
    "changes", [{"captions": {"count": 99}}, {"images": {"per_caption": 3, "workers": {"max": 2}}}]
)
def test_numbers_of_rows_and_workers_make_no_other_rate(changes):
    for stage in EVERY:
        assert basis(tiny_recipe(), stage).settings == basis(tiny_recipe(**changes), stage).settings
