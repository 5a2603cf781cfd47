"""From a file of sentences to captions: labels by the noun matcher, and which sentences are taken."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from t2ipal.captions.collect import caption_id
from t2ipal.captions.sentences import format_of, read_image_ids, read_sentences
from t2ipal.captions_recipe import AnnotatedCaptionsRecipe
from t2ipal.errors import UserError
from t2ipal.seeds import derive_seed
from t2ipal.vocabulary import Vocabulary


class Labelled(NamedTuple):
    """A sentence that names classes: its number in the file, and the classes in increasing order."""

    number: int
    text: str
    labels: tuple[int, ...]


@dataclass(frozen=True)
class Chosen:
    """The captions taken, in the order of `select`, and what became of the other sentences."""

    captions: tuple[Labelled, ...]
    read: int
    excluded: int
    """Sentences about images that the recipe excludes."""
    without_class: int
    left_out: int
    """Sentences that name a class, beyond `per_class` or `max_captions`."""

    @property
    def counts(self) -> dict[str, int]:
        """What the notes and manifests of the stage say."""
        counts = {"read": self.read, "excluded": self.excluded, "without_class": self.without_class}
        return counts | {"left_out": self.left_out}


def choose(recipe: AnnotatedCaptionsRecipe, vocabulary: Vocabulary, seed: int) -> Chosen:
    """Read the recipe's file and choose its captions: the same ones for the same file, settings and seed.

    Raises UserError when the file cannot be read or none of its sentences names a class.
    """
    path = Path(recipe.path)
    excluded = _excluded(recipe)
    counts: Counter[str] = Counter()
    named = list(_named(path, vocabulary, excluded, counts))
    if not named:
        raise _names_no_class(recipe, counts["read"])
    taken = select(named, recipe.per_class, recipe.max_captions, seed)
    return Chosen(
        tuple(taken), counts["read"], counts["excluded"], counts["without_class"], len(named) - len(taken)
    )


def check(recipe: AnnotatedCaptionsRecipe, vocabulary: Vocabulary) -> None:
    """Raise the UserError of `choose` in about the time of reading the file: only up to the first sentence
    that names a class are any looked at.
    """
    excluded, sentences = _excluded(recipe), list(read_sentences(Path(recipe.path)))
    usable = (each.text for each in sentences if each.image not in excluded)
    if not any(map(vocabulary.labels, usable)):
        raise _names_no_class(recipe, len(sentences))


def select(
    named: Sequence[Labelled], per_class: int | None, max_captions: int | None, seed: int
) -> list[Labelled]:
    """Return the captions to take, in an order of which a beginning may be used alone.

    With `per_class`, each caption is credited to the rarest class that it names, the one that the fewest
    captions name (TaI-DPT's rule for NUS-WIDE, arXiv 2211.12739, its code), and of each class as many are
    taken, by turns: the first so many, as of `max_captions`, have equal numbers credited to every class that
    has not run out. Without it the order is random. Either is drawn by a seed derived from each number.
    """
    seeds = {each.number: caption_seed(seed, each.number) for each in named}
    drawn = sorted(named, key=lambda each: (seeds[each.number], each.number))
    if per_class is not None:
        drawn = _by_turns(drawn, per_class)
    return drawn[:max_captions]


def caption_seed(seed: int, number: int) -> int:
    """Return the seed of a caption, in [0, 2**63)."""
    return derive_seed(seed, caption_id(number))


def _names_no_class(recipe: AnnotatedCaptionsRecipe, read: int) -> UserError:
    return UserError(
        f"annotated_captions.path: none of the {read} sentences of {recipe.path!r} that may be used names a "
        "class of the vocabulary",
        "give captions that do, or add the words they use to the vocabulary as synonyms",
    )


def _by_turns(captions: Sequence[Labelled], per_class: int) -> list[Labelled]:
    """Return the first caption of every class, the second ones, ... up to `per_class` of each."""
    frequency = Counter(label for each in captions for label in each.labels)
    credited: dict[int, list[Labelled]] = defaultdict(list)
    for each in captions:
        credited[min(each.labels, key=lambda label: (frequency[label], label))].append(each)
    columns = [credited[label][:per_class] for label in sorted(credited)]
    turns = range(max(map(len, columns), default=0))
    return [column[turn] for turn in turns for column in columns if turn < len(column)]


def _named(
    path: Path, vocabulary: Vocabulary, excluded: frozenset[str], counts: Counter[str]
) -> Iterator[Labelled]:
    """Yield the sentences that name a class and are not excluded, and count all of them."""
    for sentence in read_sentences(path):
        counts["read"] += 1
        if sentence.image in excluded:
            counts["excluded"] += 1
        elif labels := vocabulary.labels(sentence.text):
            yield Labelled(sentence.number, sentence.text, labels)
        else:
            counts["without_class"] += 1


def _excluded(recipe: AnnotatedCaptionsRecipe) -> frozenset[str]:
    if recipe.exclude_images is None:
        return frozenset()
    form = format_of(Path(recipe.path))
    if form == "text":
        raise UserError(
            f"annotated_captions.exclude_images is set, and the lines of {recipe.path!r} are about no images",
            "remove exclude_images, or give captions as COCO's .json or narratives as .jsonl",
        )
    return read_image_ids(Path(recipe.exclude_images), numbers=form == "coco_captions")
