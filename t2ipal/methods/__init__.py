"""Recognizers: what is tuned on frozen features, one short file per method."""

from collections.abc import Sequence

from t2ipal.clip import Backbone
from t2ipal.methods.base import Captions, Images, Method
from t2ipal.methods.t2i_pal import T2IPal
from t2ipal.methods.zero_shot import ZeroShot
from t2ipal.recipe import Recipe

__all__ = ["Captions", "Images", "Method", "T2IPal", "ZeroShot", "build_method"]


def build_method(name: str, backbone: Backbone, classes: Sequence[str], recipe: Recipe) -> Method:
    """A method as the recipe describes it, with its tuned parameters in their first state."""
    if name == "zero_shot":
        return ZeroShot(backbone, classes, recipe.evaluate.template)
    if name == "t2i_pal":
        return T2IPal(backbone, classes, recipe.tune, recipe.seed)
    raise ValueError(f"no method is named {name!r}")
