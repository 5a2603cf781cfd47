import pytest
import torch

from t2ipal.errors import UserError
from t2ipal.method_names import (
    ABLATIONS,
    NAMES,
    STANDARDISED,
    TUNED,
    UNTUNED,
    WITHOUT,
    Name,
    parse_name,
    relevant_settings,
    settings_of,
)
from t2ipal.method_settings import MethodsSettings
from t2ipal.methods.zero_shot import ZeroShot
from tests.methods.given import images
from tests.tuning.tiny_set import merged, tiny_method, tiny_settings

PARTS = [(method, part) for method, parts in ABLATIONS.items() for part in parts]


@pytest.mark.parametrize("name", NAMES)
def test_every_name_makes_a_recognizer(name):
    assert parse_name(name) == Name(name, None, False)
    assert parse_name(name + STANDARDISED) == Name(name, None, True)
    assert parse_name(name).plain == parse_name(name + STANDARDISED).plain == name
    method = tiny_method(name).eval()
    assert method.scores(images()).shape == (5, 3)
    assert isinstance(method, ZeroShot) == (name in UNTUNED)
    assert bool(method.phases()) == (name not in UNTUNED)
    plain, standardised = tiny_method(name).eval(), tiny_method(name + STANDARDISED).eval()
    assert torch.equal(
        plain.scores(images()), standardised.scores(images())
    )  # what comes after is not its own


@pytest.mark.parametrize(("method", "part"), PARTS)
def test_every_ablation_makes_another_recognizer(method, part):
    name = f"{method}{WITHOUT}{part}"
    assert parse_name(name) == Name(method, part, False)
    assert parse_name(name + STANDARDISED) == Name(method, part, True)
    assert parse_name(name + STANDARDISED).plain == name
    assert tiny_method(name).eval().scores(images()).shape == (5, 3)
    settings = tiny_settings()
    assert settings_of(parse_name(name), settings) != settings_of(parse_name(method), settings) == settings


def test_what_each_is_tuned_on():
    sources = {name: parse_name(name).source for name in NAMES}
    assert {name for name, source in sources.items() if source == "nothing"} == set(UNTUNED)
    assert {name for name, source in sources.items() if source == "synthetic"} == set(TUNED)
    assert {name for name, source in sources.items() if source == "labelled"} == {"supervised", "dual_coop"}


@pytest.mark.parametrize(
    ("name", "problem", "remedy"),
    [
        ("t2ipal", r"no method is named 't2ipal'", r"did you mean 't2i_pal'\?"),
        ("zeroshot", r"no method is named 'zeroshot'", r"did you mean 'zero_shot'\?"),
        ("quux", r"no method is named 'quux'", r"there are: zero_shot, .*supervised"),
        ("", r"no method is named ''", "there are: zero_shot"),
        ("t2i_pal-without-adaptor", r"t2i_pal has no part 'adaptor'", "parts of t2i_pal: prompts, adapter, "),
        ("t2i_pal-without-", r"t2i_pal has no part ''", "parts of t2i_pal: prompts, "),
        ("tai_dpt-without-prompts", r"tai_dpt has no part 'prompts'", "parts of tai_dpt: none"),
        ("t2i_pal-without-adapter-without-prompts", r"no part 'adapter-without-prompts'", "parts of t2i_pal"),
        ("t2i_pal_standardised-without-adapter", "no method is named 't2i_pal_standardised'", "t2i_pal"),
    ],
)
def test_an_unknown_name_is_told_with_those_that_there_are(name, problem, remedy):
    with pytest.raises(UserError, match=problem) as caught:
        parse_name(name)
    assert caught.match(remedy)


def test_an_ablation_is_the_method_with_that_setting():
    for section, name, changes in (
        ("t2i_pal", "t2i_pal-without-captions", {"caption_branch": False}),
        ("t2i_pal", "t2i_pal-without-adapter", {"adapter": None}),
        ("pvp", "pvp-without-contrast", {"contrast": 0.0}),
        ("t2i_pal_pvp", "t2i_pal_pvp-without-doubt", {"doubt": 0.0}),
        ("t2i_pal_pvp", "t2i_pal_pvp-without-visual", {"share": 0.0}),
        ("t2i_pal_pvp", "t2i_pal_pvp-without-pvp", {"judge": "t2i_pal"}),
    ):
        changed = tiny_settings(**{section: changes})
        assert settings_of(parse_name(name), tiny_settings()) == changed
        assert relevant_settings(name, tiny_settings()) == relevant_settings(section, changed)
        assert relevant_settings(name, tiny_settings()) == relevant_settings(name, changed)
        assert relevant_settings(name, tiny_settings()) != relevant_settings(section, tiny_settings())


def test_the_upper_bound_sees_images_alone():
    settings = tiny_settings(t2i_pal={"caption_branch": True, "image_branch": False, "templates": 2})
    found = settings_of(parse_name("supervised"), settings).t2i_pal
    assert (found.caption_branch, found.image_branch, found.templates) == (False, True, 0)


def test_an_ablation_that_leaves_nothing_to_learn_is_refused():
    settings = tiny_settings(t2i_pal={"adapter": None, "prototypes": False})
    with pytest.raises(UserError, match=r"'t2i_pal-without-prompts' .*t2i_pal: prompts, adapter and prototy"):
        settings_of(parse_name("t2i_pal-without-prompts"), settings)


# A setting, and the methods that read its section.
READERS = [
    ("zero_shot", {"template": "the {}"}, set(NAMES)),
    ("tai_dpt", {"mix": 0.9}, {"tai_dpt"}),
    ("pvp", {"pretrain": {"noise": 0.9}}, {"pvp", "t2i_pal_pvp"}),
    ("t2i_pal", {"schedule": {"epochs": 99}}, {"t2i_pal", "t2i_pal_pvp", "supervised"}),
    ("t2i_pal_pvp", {"share": 0.9}, {"t2i_pal_pvp"}),
    ("dual_coop", {"k": 1.0}, {"dual_coop"}),
    ("fusion", {"few_shot": 0.9}, set()),  # of what is tuned already
]


@pytest.mark.parametrize(("section", "changes", "readers"), READERS)
def test_relevant_settings_change_with_what_a_method_reads(section, changes, readers):
    before = MethodsSettings()
    after = MethodsSettings.model_validate(merged(before.model_dump(), {section: changes}))
    changed = {name for name in NAMES if relevant_settings(name, before) != relevant_settings(name, after)}
    assert changed == readers
    for method, part in PARTS:
        name = f"{method}{WITHOUT}{part}"
        differs = relevant_settings(name, before) != relevant_settings(name, after)
        fixed = {f"{section}.{key}" for key in changes} <= ABLATIONS[method][part].keys()
        assert differs == (method in readers and not fixed)


def test_every_section_has_a_reader():
    assert {section for section, _, _ in READERS} == set(MethodsSettings.model_fields)


def test_standardising_is_not_a_setting_of_what_is_learned():
    for name in ("zero_shot", "t2i_pal", "pvp-without-adapter"):
        assert relevant_settings(name + STANDARDISED, tiny_settings()) == relevant_settings(
            name, tiny_settings()
        )
