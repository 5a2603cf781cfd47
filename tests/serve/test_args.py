import pytest
from pydantic import ValidationError

from serve.args import ServeArgs
from t2ipal.recipe import ServeRecipe


def test_a_recipe_gives_every_setting_of_the_application():
    args = ServeArgs.of(ServeRecipe(port=9999, threads=3, batch={"max_size": 5}), "s3://bucket/bundle")
    assert (args.bundle, args.threads, args.batch.max_size) == ("s3://bucket/bundle", 3, 5)


def test_unknown_arguments_are_refused():
    with pytest.raises(ValidationError, match="replica"):
        ServeArgs(bundle="x", replica={"max": 2})
