import pytest

from jobs.pipeline import DEFAULT_RECIPE
from jobs.variants import parse_variant
from t2ipal.errors import UserError
from t2ipal.recipe import load_recipe


def test_a_variant_changes_the_images_alone():
    recipe = load_recipe(DEFAULT_RECIPE)
    variant = parse_variant("768x3/lowest=0.25")
    given = variant.of(recipe)
    assert (given.images.captions, given.images.per_caption) == (768, 3)
    assert given.images.agreement is not None
    assert (given.images.agreement.lowest, given.images.agreement.top) == (0.25, None)
    assert (variant.painted, variant.name) == ("768x3", "768x3/lowest=0.25")
    assert set(given.differences(recipe.settings())) == {
        "images.captions",
        "images.per_caption",
        "images.agreement.lowest",
        "images.agreement.top",
    }


def test_the_other_rule_and_none():
    top = parse_variant("1x1/top=3").agreement
    assert top is not None
    assert (top.lowest, top.top) == (0.0, 3)
    assert parse_variant("384x2").agreement is None
    assert parse_variant("384x2").name == parse_variant("384x2").painted == "384x2"


@pytest.mark.parametrize("text", ["", "384", "0x1", "1x0", "384x2/", "384x2/best=3", "384x2/top=", "x"])
def test_what_is_no_variant(text):
    with pytest.raises(ValueError, match="is no variant; write 384x2"):
        parse_variant(text)


@pytest.mark.parametrize(
    "text", ["2x2/lowest=1", "2x2/lowest=0", "2x2/top=0", "2x2/top=1.5", "2x2/lowest=1.2.3"]
)
def test_a_rule_that_cannot_be(text):
    with pytest.raises(ValueError, match=text.split("=")[0]):
        parse_variant(text)


def test_a_filter_that_would_leave_nothing_out():
    with pytest.raises(UserError, match=r"384x2/top=16.*: images.agreement.top is 16, and there are 16"):
        parse_variant("384x2/top=16").of(load_recipe(DEFAULT_RECIPE))


def test_more_captions_than_there_are():
    with pytest.raises(UserError, match="9999 captions are to be painted, and there are at most 1152"):
        parse_variant("9999x1").of(load_recipe(DEFAULT_RECIPE))
