import pytest
from pydantic import ValidationError

from serve.args import ServeArgs
from t2ipal.serve_recipe import ServeRecipe


def test_a_recipes_settings_reach_the_endpoint():
    recipe = ServeRecipe(port=9999, threads=3, batch={"max_size": 5})
    args = ServeArgs.of(recipe, "mine", "s3://bucket/bundle")
    assert args.serves.recognizers == {"mine": "s3://bucket/bundle"}
    assert args.serves.answering == "mine"
    assert (args.threads, args.batch.max_size) == (3, 5)


def test_how_many_images_are_computed_together():
    def together(**settings):
        return ServeRecipe(**settings).together

    assert together() == 1
    assert together(gpus=1.0, batch={"max_size": 32}) == 32
    assert together(at_once=4) == 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"serves": {"recognizers": {}}}, "at least 1 item"),
        ({"serves": {"recognizers": {"a": "b"}, "default": "c"}}, "default is 'c', which is none of"),
        ({"serves": {"recognizers": {"a": "b"}}, "keys": {"per_minute": 3}}, "either `file` or `variable`"),
        ({"serves": {"recognizers": {"a": "b"}}, "fetch": {"hosts": []}}, "at least 1 item"),
    ],
)
def test_what_cannot_be_meant_is_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        ServeArgs.model_validate(settings)
