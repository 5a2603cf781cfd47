import pytest
from pydantic import ValidationError

from t2ipal.method_names import ABLATIONS, parse_name, settings_of
from t2ipal.method_settings import MethodsSettings, PVPSettings, T2IPALSettings


@pytest.mark.parametrize(
    ("settings", "off", "problem"),
    [
        (T2IPALSettings, {"prompts": False, "adapter": None, "prototypes": False}, "all off: nothing learns"),
        (T2IPALSettings, {"image_branch": False, "prompts": False}, "image_branch and prompts are both off"),
        (T2IPALSettings, {"image_branch": False, "caption_branch": False}, "caption_branch are both off"),
        (PVPSettings, {"text_prompts": False, "visual_prompts": False}, "visual_prompts are both off"),
    ],
)
def test_switches_that_leave_nothing_are_refused_together_only(settings, off, problem):
    with pytest.raises(ValidationError, match=f"{problem}.*; leave one on"):
        settings(**off)
    for key in off:
        settings(**{name: value for name, value in off.items() if name != key})


def test_templates_of_t2i_pal_need_captions_as_rows():
    with pytest.raises(ValidationError, match=r"templates is 3, .*; set templates to 0, or image_branch to"):
        T2IPALSettings(templates=3)
    assert T2IPALSettings(templates=3, image_branch=False).templates == 3


@pytest.mark.parametrize(
    "name",
    ["supervised", *(f"{method}-without-{part}" for method, parts in ABLATIONS.items() for part in parts)],
)
def test_every_ablation_is_allowed(name):
    assert settings_of(parse_name(name), MethodsSettings()) != MethodsSettings()
