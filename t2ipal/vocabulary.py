"""Class names, their synonyms, and the classes named in a sentence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from t2ipal.errors import UserError
from t2ipal.nouns.matcher import NounMatcher, tokenise
from t2ipal.yaml_file import read_yaml


@dataclass(frozen=True)
class Vocabulary:
    """The classes of a run.

    `names[i]` is how class i is written in prompts and answers; `synonyms[i]` are further words for it
    (without the name itself). Class indices everywhere in the system are positions in `names`.
    """

    names: tuple[str, ...]
    synonyms: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        if not self.names:
            raise UserError("the vocabulary has no classes", "list at least one class name")
        if len(self.names) != len(self.synonyms):
            raise ValueError(f"{len(self.names)} names but {len(self.synonyms)} lists of synonyms")
        _reject_shared_words(self.names, self.synonyms)

    @classmethod
    def load(cls, spec: str | Mapping[str, Sequence[str]] | Sequence[str]) -> Self:
        """Build a vocabulary from "picturebook", a YAML file, a list of names, or a mapping of names to
        synonyms.

        A YAML file holds such a list or mapping. Raises UserError when it cannot be read, or when a name is
        empty, occurs twice, or a word stands for two classes.
        """
        if spec == "picturebook":
            from t2ipal import picturebook

            spec = picturebook.vocabulary()
        elif isinstance(spec, str):
            spec = read_yaml(spec, what="vocabulary")
        return cls._from_data(spec)

    @classmethod
    def _from_data(cls, data: object) -> Self:
        """Check what a user wrote before trusting its types."""
        if isinstance(data, Mapping):
            pairs = [(name, [] if words is None else words) for name, words in data.items()]
        elif isinstance(data, Sequence) and not isinstance(data, str):
            pairs = [(name, []) for name in data]
        else:
            raise UserError(
                f"the vocabulary is {data!r}",
                "give a list of class names, or a mapping from each name to a list of synonyms",
            )
        return cls(
            names=tuple(_word(name) for name, _ in pairs),
            synonyms=tuple(_synonyms(name, words) for name, words in pairs),
        )

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """Return the index of a class by its name; KeyError if there is none."""
        try:
            return self.names.index(name)
        except ValueError:
            raise KeyError(name) from None

    def mapping(self) -> dict[str, list[str]]:
        """Return names and synonyms as plain data, in order, as `load` accepts them."""
        return {name: list(words) for name, words in zip(self.names, self.synonyms, strict=True)}

    def labels(self, sentence: str) -> tuple[int, ...]:
        """Return the classes named in a sentence as things, in increasing order.

        The rule is the noun filter of TaI-DPT (arXiv 2211.12739): whole words, singular or plural, longer
        names before shorter ones, and a matched word is used up ("teddy bear" is not also a bear). In place
        of a trained tagger a few rules over the nearest words tell nouns from verbs, adjectives and first
        parts of compounds; `t2ipal.nouns.context` says what they miss.
        """
        return self._matcher.labels(sentence)

    @cached_property
    def _matcher(self) -> NounMatcher:
        return NounMatcher([(name, *words) for name, words in zip(self.names, self.synonyms, strict=True)])


def _key(word: str) -> tuple[str, ...]:
    """What two spellings of a word have in common for the matcher: "Hot_dog" and "hot dog" are one."""
    return tuple(tokenise(word)[0])


def _word(value: object) -> str:
    if not isinstance(value, str):
        raise UserError(
            f"the class name {value!r} is not text, but {_what_yaml_reads(value)}",
            'put it in quotes as you wrote it, as in "no" or "911"',
        )
    if not _key(value):
        raise UserError("the vocabulary has an empty name", "remove it or write the class name")
    return value.strip()


def _what_yaml_reads(value: object) -> str:
    if isinstance(value, bool):
        return "what YAML reads in yes, no, on, off, true and false"
    return "what YAML reads in an empty entry, ~ and null" if value is None else "a number or a date"


def _synonyms(name: object, words: object) -> tuple[str, ...]:
    if isinstance(words, str) or not isinstance(words, Sequence):
        raise UserError(
            f"the synonyms of {name!r} are {words!r}", "write them as a list, for example [auto, motorcar]"
        )
    return tuple(_word(word) for word in words if _word(word) != name)


def _reject_shared_words(names: tuple[str, ...], synonyms: tuple[tuple[str, ...], ...]) -> None:
    owner: dict[tuple[str, ...], int] = {}
    for i, name in enumerate(names):
        if _key(name) in owner:
            raise UserError(
                f"the class {name!r} is listed twice (capitals do not matter)",
                "remove one of the two",
            )
        owner[_key(name)] = i
    for i, words in enumerate(synonyms):
        for word in words:
            other = owner.setdefault(_key(word), i)
            if other != i:
                raise UserError(
                    f"the word {word!r} stands for two classes: {names[other]!r} and {names[i]!r}",
                    "keep it with one of them",
                )
