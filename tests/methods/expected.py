"""What methods should answer about images, by the formulas, from the numbers that are inside them."""

import numpy as np
import torch

from t2ipal.clip.vision import image_features
from tests.methods import formulas
from tests.methods.given import array, text_features
from tests.tiny_clip import tiny_backbone
from tests.tuning.tiny_set import NAMES


def class_features(tuned):
    """Features that T2I-PAL compares images with: of its prompts, or of the class names in a sentence."""
    if list(tuned.prompts.parameters()):
        return text_features(tuned)
    sentences = tiny_backbone("resnet").sentences([f"a photo of a {name}" for name in NAMES])
    return array(sentences.whole), array(sentences.whole)


def visual_features(tuned):
    """What PVP's visual prompts, free vectors or pixels, are compared as."""
    prompts = (tuned.visual.whole, tuned.visual.local)
    if prompts[0].dim() == 2:
        return tuple(formulas.unit(array(each)) for each in prompts)
    tower = tiny_backbone("resnet")._model.visual
    with torch.no_grad():
        return tuple(array(image_features(tower, each, pool_positions=True).whole) for each in prompts)


def adapted(adapter, features, own):
    """Through a method's adapter in use, where its settings have one between features."""
    if own.adapter not in (True, "bottleneck"):
        return features
    return formulas.adapted(features, array(adapter.down), array(adapter.up), own.alpha)


def t2i_pal_parts(tuned, seen, own, k):
    """The parts of T2I-PAL's answer to images [B, D] and [B, P, D]."""
    if not own.image_branch:  # what only images teach is not there
        own = own.model_copy(update={"adapter": None, "prototypes": False})
    whole, local = class_features(tuned)
    x, places = (adapted(tuned.adapter, each, own) for each in seen)
    k = k if own.heatmap else 0.0
    parts = {
        "global": formulas.global_scores(x, whole, own.scale),
        "local": formulas.local_scores(places, local, k, own.scale),
    }
    if own.adapter == "cache":
        memory = array(tuned.cache.keys), array(tuned.cache.values)
        parts["global"] += own.scale * own.alpha * formulas.cache_scores(x, *memory, own.cache_sharpness)
    if own.prototypes:
        prototypes = array(tuned.prototypes)
        parts["prototype"] = formulas.prototype_scores(places, local, prototypes, k, own.scale)
    return parts


def t2i_pal_answer(parts, own):
    """T2I-PAL's parts in one."""
    local = [parts[name] for name in ("local", "prototype") if name in parts]
    return own.mix * parts["global"] + (1 - own.mix) * sum(local) / len(local)


def pvp_parts(tuned, seen, own):
    """The parts of PVP's answer to images."""
    places = seen.patches
    if own.global_token:
        places = np.concatenate([places, seen.whole[:, None]], axis=1)  # neither of them adapted
    whole = adapted(tuned.image_adapter, seen.whole, own)
    parts = {}
    if own.text_prompts:
        e, e_local = (adapted(tuned.text_adapter, each, own) for each in text_features(tuned))
        parts["text_global"] = formulas.global_scores(whole, e, own.scale)
        parts["text_local"] = formulas.local_scores(places, e_local, own.k_test, own.scale)
    if own.visual_prompts:
        u, u_local = (adapted(tuned.image_adapter, each, own) for each in visual_features(tuned))
        parts["visual_global"] = formulas.global_scores(whole, u, own.scale)
        parts["visual_local"] = formulas.local_scores(places, u_local, own.visual_k_test, own.scale)
    return parts


def pvp_answer(parts, own):
    """PVP's parts in one."""
    shares = {"global": 2 * own.mix, "local": 2 * (1 - own.mix)}
    return sum(shares[name.partition("_")[2]] * part for name, part in parts.items())
