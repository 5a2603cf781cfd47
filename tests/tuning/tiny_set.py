"""Random features with labels that they can be told apart by, and small settings of every method."""

from typing import Any

import torch
from torch.nn import functional

from t2ipal.method_settings import MethodsSettings
from t2ipal.methods import Captions, Images, Method, build_method
from t2ipal.tuning.data import CaptionSet, ImageSet, TuningSet
from tests.tiny_clip import EMBED_DIM, tiny_backbone

NAMES = ["fish", "teddy bear", "house"]
ROWS, PATCHES, TOKENS = 23, 4, 6
TEMPLATES = 2  # sentences per class behind the captions


def tiny_settings(epochs: int = 4, optimizer: str = "adamw", **sections: dict[str, Any]) -> MethodsSettings:
    """Settings under which every method takes seconds; a keyword changes keys of that method's section."""
    schedule = {"epochs": epochs, "batch": 5, "optimizer": optimizer}
    prompts = {"context": 4, "prompt_lr": 0.02, "schedule": schedule}
    data: dict[str, Any] = {
        "tai_dpt": {**prompts, "templates": 2},
        "t2i_pal": {**prompts, "head_lr": 0.01, "cache_size": 3},
        "pvp": {
            **prompts,
            "adapter_lr": 0.01,
            "templates": 1,
            # Pixels cost a pass through the image encoder at every step: only where a test is about them.
            "pretrain": {
                "space": "features",
                "lr": 0.05,
                "templates": 2,
                "schedule": schedule | {"epochs": max(epochs // 2, 1)},
            },
        },
        "t2i_pal_pvp": {},
        "dual_coop": {**prompts},
        "zero_shot": {"ensemble": ("a photo of a {}", "the {} and the tree")},
    }
    for name, changes in sections.items():
        data[name] = merged(data[name], changes)
    return MethodsSettings.model_validate(data)


PIXELS = {"pretrain": {"space": "pixels"}}  # changes of the section pvp


def merged(section: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A section with some keys changed, also within the sections of its own."""
    return section | {
        key: merged(section.get(key, {}), value) if isinstance(value, dict) else value
        for key, value in changes.items()
    }


def tiny_method(name: str, settings: MethodsSettings | None = None, seed: int = 0, **more: Any) -> Method:
    """A method by name on the tiny backbone, in its first state."""
    return build_method(name, tiny_backbone("resnet"), NAMES, settings or tiny_settings(), seed, **more)


def tiny_set(count: int = ROWS) -> TuningSet:
    """Images, each with one of as many captions, and template sentences."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.rand(count, 3, generator=generator) < 0.5
    directions = torch.randn(3, EMBED_DIM, generator=generator)

    def near(holds, *shape):
        noise = torch.randn(len(holds), *shape, EMBED_DIM, generator=generator)
        signal = (holds.float() @ directions).reshape(len(holds), *[1] * len(shape), EMBED_DIM)
        return functional.normalize(signal + noise, dim=-1).half()

    described = torch.cat([labels.flip(0), torch.eye(3, dtype=torch.bool).repeat(TEMPLATES, 1)])
    lengths = torch.randint(1, TOKENS + 1, (len(described), 1), generator=generator)
    captions = Captions(near(described), near(described, TOKENS), torch.arange(TOKENS) < lengths)
    images = Images(near(labels), near(labels, PATCHES))
    return TuningSet(
        ImageSet(images, labels, torch.arange(count).flip(0)), CaptionSet(captions, described, count)
    )
