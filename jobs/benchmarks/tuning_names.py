"""Classes and sentences for a tuning step of any size: what they say is no matter, how long they are is."""

import random
from itertools import product
from pathlib import Path

import torch
from torch import Tensor

from t2ipal.errors import UserError
from t2ipal.vocabulary import Vocabulary

COCO = Path(__file__).parent.parent / "vocabularies" / "coco.yaml"
MOST = 3  # classes of a sentence

# Before the names of COCO they make as many classes as a large vocabulary of tags has, and as short.
_KINDS = (
    "old new small large tiny huge red green blue yellow white black brown grey pink orange purple golden "
    "silver wooden metal plastic glass stone paper leather wet dry clean dirty broken shiny dull heavy "
    "light soft hard round square long short tall wide narrow thick thin open closed empty full cheap "
    "expensive modern ancient toy painted striped spotted plain furry smooth rough sharp cosy cold warm "
    "frozen fast slow loud quiet young wild tame lost "
)

_SENTENCES = (
    "a photo of {}",
    "{} in the middle of the street",
    "somebody has left {} on the table near the window",
    "there are {} in front of an old building on a sunny day",
)


def class_names(count: int) -> list[str]:
    """The names of COCO, and as many more as are asked for."""
    names = Vocabulary.load(str(COCO)).names
    every = [*names, *(f"{kind} {name}" for kind, name in product(_KINDS.split(), names))]
    if count > len(every):
        raise UserError(f"there are names for {len(every)} classes, not for {count}", "ask for fewer")
    return every[:count]


def sentences(names: list[str], count: int) -> tuple[list[str], Tensor]:
    """Sentences of one to three classes each, and what they name [count, C]."""
    draw = random.Random(0)
    labels, texts = torch.zeros(count, len(names), dtype=torch.bool), []
    for row in range(count):
        named = draw.sample(range(len(names)), draw.randint(1, min(MOST, len(names) - 1)))
        labels[row, named] = True
        texts.append(draw.choice(_SENTENCES).format(" and ".join(f"a {names[i]}" for i in named)))
    return texts, labels
