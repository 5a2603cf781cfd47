"""A tuned recognizer for classes that it was never tuned on.

What all classes share is taken over, prompts and adapters. What belongs to a single class, prototypes, a
cache and visual prompts, has no place there.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor

from t2ipal.clip import Backbone
from t2ipal.errors import UserError
from t2ipal.method_names import parse_name, settings_of
from t2ipal.method_settings import MethodsSettings, PVPSettings, T2IPALSettings
from t2ipal.methods.base import Method
from t2ipal.methods.pvp import PVP
from t2ipal.methods.registry import build_method
from t2ipal.methods.t2i_pal import T2IPal


def for_names(
    name: str,
    backbone: Backbone,
    names: Sequence[str],
    methods: MethodsSettings,
    parameters: Mapping[str, Tensor],
) -> Method:
    """The method called `name` for other classes, by `Method.export`'s parameters of a tuned one.

    Of T2I-PAL with PVP it is T2I-PAL. Scores are of the size that they have for the tuned classes. UserError
    for a method that has nothing to compare with an image but what belongs to its classes.
    """
    parsed = parse_name(name)
    settings = settings_of(parsed, methods)
    if parsed.method == "pvp" and not settings.pvp.text_prompts:
        raise UserError(
            f"{name} has no text prompts and knows no classes but its own", "ask for its own classes only"
        )
    method: Method
    if parsed.method in ("t2i_pal", "t2i_pal_pvp"):
        own = settings.model_copy(update={"t2i_pal": _shared_t2i_pal(settings.t2i_pal)})
        method = T2IPal(backbone, names, own, seed=0)
    elif parsed.method == "pvp":
        method = PVP(backbone, names, _shared_pvp(settings.pvp), seed=0)
    else:
        method = build_method(name, backbone, names, methods, seed=0)
    within = "t2i_pal." if parsed.method == "t2i_pal_pvp" else ""
    method.load_state_dict({key: parameters[within + key] for key in method.state_dict()})
    return method.to(backbone.device).eval()


def _shared_t2i_pal(settings: T2IPALSettings) -> T2IPALSettings:
    adapter = None if settings.adapter == "cache" else settings.adapter
    return settings.model_copy(update={"prototypes": False, "adapter": adapter})


def _shared_pvp(settings: PVPSettings) -> PVPSettings:
    """Without visual prompts, whose scores are a half of the sum."""
    scale = settings.scale * 2 if settings.visual_prompts else settings.scale
    return settings.model_copy(update={"visual_prompts": False, "scale": scale})
