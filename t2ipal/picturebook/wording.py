"""Captions of the picture world: a small grammar over class names, synonyms, colours and backgrounds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from t2ipal.captions.prompt import join_names
from t2ipal.picturebook.classes import BACKGROUNDS, CLASSES, COLOURS

OPENINGS = (
    "a picture of", "a drawing of", "a photo of", "a painting of", "an image of", "a scene with", "here is",
    "this shows", "we see", "there is", "",
)  # fmt: skip
JOINTS = ("and", "and", "with", "next to", "beside", "near")
PLACES = (
    "on a {} background", "in front of a {} wall", "over a {} ground", "on {} ground",
)  # fmt: skip
PROMPT = "write a caption with {classes} ."


@dataclass(frozen=True)
class Mention:
    """A class to be named, with the colour it has in the picture."""

    label: int
    colour: str


def describe(mentions: Sequence[Mention], background: str, rng: np.random.Generator) -> str:
    """One caption that names the mentions in their order; colours and background often stay unsaid."""
    words = [str(rng.choice(OPENINGS))]
    for position, mention in enumerate(mentions):
        if position:
            words.append(str(rng.choice(JOINTS)))
        words.append(_noun_phrase(mention, rng))
    if rng.random() < 0.3:
        words.append(str(rng.choice(PLACES)).format(background))
    return " ".join(words).strip()


def _noun_phrase(mention: Mention, rng: np.random.Generator) -> str:
    each = CLASSES[mention.label]
    name = str(rng.choice(each.synonyms)) if rng.random() < 0.25 else each.name
    phrase = f"{mention.colour} {name}" if rng.random() < 0.5 else name
    article = "the" if rng.random() < 0.1 else "an" if phrase[0] in "aeiou" else "a"
    return f"{article} {phrase}"


def words() -> list[str]:
    """Every word that a caption or a writer's prompt can hold, sorted."""
    texts = [*OPENINGS, *JOINTS, *PLACES, PROMPT, "a an the and", *COLOURS, *BACKGROUNDS]
    texts += [word for each in CLASSES for word in (each.name, *each.synonyms)]
    plain = " ".join(texts).replace("{classes}", ",").replace("{}", "")
    return sorted(set(plain.split()))


def request_and_caption(rng: np.random.Generator, most: int = 3) -> tuple[tuple[int, ...], str, str]:
    """Random classes (1 to `most`), the request for them, and a caption naming just these in that order."""
    labels = tuple(int(label) for label in rng.permutation(len(CLASSES))[: rng.integers(1, most + 1)])
    mentions = [Mention(label, str(rng.choice(CLASSES[label].colours))) for label in labels]
    names = join_names([CLASSES[label].name for label in labels])
    return labels, PROMPT.format(classes=names), describe(mentions, str(rng.choice(list(BACKGROUNDS))), rng)
