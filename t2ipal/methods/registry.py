"""From a recognizer's name to the recognizer."""

from collections.abc import Sequence

from t2ipal.clip import Backbone
from t2ipal.method_names import parse_name, settings_of
from t2ipal.method_settings import MethodsSettings
from t2ipal.methods.base import Method
from t2ipal.methods.dual_coop import DualCoOp
from t2ipal.methods.pvp import PVP
from t2ipal.methods.t2i_pal import T2IPal
from t2ipal.methods.t2i_pal_pvp import T2IPalPVP
from t2ipal.methods.tai_dpt import TaIDPT
from t2ipal.methods.zero_shot import ZeroShot


def build_method(
    name: str,
    backbone: Backbone,
    classes: Sequence[str],
    methods: MethodsSettings,
    seed: int,
    exported: bool = False,
) -> Method:
    """A method with its tuned parameters in their first state; `exported`: ready for those of
    `Method.export`. A fused one is put together from two of them: `t2ipal.methods.fusion`.
    """
    parsed = parse_name(name)
    settings = settings_of(parsed, methods)
    match parsed.method:
        case "zero_shot" | "zero_shot_ensemble" | "zero_shot_dense":
            return ZeroShot(backbone, classes, settings.zero_shot, parsed.method)
        case "tai_dpt":
            return TaIDPT(backbone, classes, settings.tai_dpt, seed)
        case "pvp":
            return PVP(backbone, classes, settings.pvp, seed, exported)
        case "dual_coop":
            return DualCoOp(backbone, classes, settings.dual_coop, seed)
        case "t2i_pal_pvp":
            return T2IPalPVP(backbone, classes, settings, seed, exported)
        case _:
            return T2IPal(backbone, classes, settings, seed)
