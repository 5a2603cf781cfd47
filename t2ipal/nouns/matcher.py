"""The classes named in a sentence: TaI-DPT's noun filter (arXiv 2211.12739)."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from t2ipal.nouns import word_lists
from t2ipal.nouns.context import Place, is_adjective, is_modifier, is_negated, is_verb
from t2ipal.nouns.english import can_be, noun_forms

_TOKEN = re.compile(r"'s\b|[^\W_]+(?:'(?!s\b)[^\W_]+)*|[^\w\s]")
_JOINT = re.compile(r"(?<=[^\W_])[-_]+(?=[^\W_])")
_JOINT_MARK = "\u2010"
_PLAIN = str.maketrans(
    {"\u2018": "'", "\u2019": "'", "\u02bc": "'", "\u2010": "-", "\u2011": "-", "\u00ad": None}
)
_NO_CLASS = -1
_NOTHING_JOINED: frozenset[int] = frozenset()


class _Phrase(NamedTuple):
    tokens: tuple[str, ...]
    label: int


class _Match(NamedTuple):
    place: Place
    label: int


class NounMatcher:
    """Finds classes in sentences by their words: longest first, singular or plural, each word used once."""

    def __init__(self, words: Sequence[Sequence[str]]) -> None:
        """`words[i]` are the name and the synonyms of class i. They win over plurals derived from others."""
        self._phrases: dict[str, tuple[_Phrase, ...]] = _by_first_word(words)
        # A class that is a doing ("running") is meant by the verbs among its words as well.
        self._doings = frozenset(i for i, (name, *_) in enumerate(words) if _is_doing(name))

    def labels(self, sentence: str) -> tuple[int, ...]:
        """Return the classes named as things in a sentence, in increasing order."""
        tokens, joined = tokenise(sentence)
        matches = list(self._matches(tokens, joined))
        found = set()
        following: _Match | None = None
        for match in reversed(matches):  # from the right: a compound's first word depends on its head
            if self._is_there(match, following, joined):
                found.add(match.label)
                following = match
        return tuple(sorted(found))

    def _matches(self, tokens: list[str], joined: frozenset[int]) -> Iterator[_Match]:
        free = 0
        for start in [i for i, token in enumerate(tokens) if token in self._phrases]:
            if start < free:
                continue
            for phrase in self._phrases[tokens[start]]:
                end = start + len(phrase.tokens)
                if tuple(tokens[start:end]) == phrase.tokens and _ends_a_word(tokens, end, joined):
                    yield _Match(Place(tokens, start, end), phrase.label)
                    free = end
                    break

    def _is_there(self, match: _Match, following: _Match | None, joined: frozenset[int]) -> bool:
        place = match.place
        if match.label == _NO_CLASS:
            return False
        if match.label in self._doings:
            return not is_negated(place)
        adjacent = (
            following is not None
            and following.place.start == place.end
            and following.label not in self._doings  # "a couple dances"
        )
        if is_negated(place) or (place.end - 1 not in joined and is_modifier(place, adjacent)):
            return False
        return place.end - place.start > 1 or not (is_verb(place) or is_adjective(place))


def tokenise(text: str) -> tuple[list[str], frozenset[int]]:
    """Split text into lower-case words, possessive endings and signs; and say which are hyphenated.

    The numbers are of the tokens that a hyphen joins to the next: "a hot-dog" gives ["a", "hot", "dog"], {1}.
    """
    text = text.lower()
    if not text.isascii():
        text = unicodedata.normalize("NFC", text).translate(_PLAIN)
    if "-" not in text and "_" not in text:
        return _TOKEN.findall(text), _NOTHING_JOINED
    tokens: list[str] = []
    joined = set()
    for token in _TOKEN.findall(_JOINT.sub(f" {_JOINT_MARK} ", text)):
        if token == _JOINT_MARK:
            joined.add(len(tokens) - 1)
        else:
            tokens.append(token)
    return tokens, frozenset(joined)


def _ends_a_word(tokens: Sequence[str], end: int, joined: frozenset[int]) -> bool:
    return end - 1 not in joined or tokens[end] in word_lists.TAILS_WITH_IT


def _by_first_word(words: Sequence[Sequence[str]]) -> dict[str, tuple[_Phrase, ...]]:
    """Every written form under its first word, longest first."""
    owner: dict[tuple[str, ...], int] = {}
    listed = [(tuple(tokenise(word)[0]), i) for i, group in enumerate(words) for word in group]
    others = [(tuple(tokenise(word)[0]), _NO_CLASS) for word in word_lists.OTHER_THINGS]
    owner.update((phrase, i) for phrase, i in listed if phrase)
    for phrase, i in listed + others:
        for form in _forms(phrase):
            owner.setdefault(form, i)
    table: dict[str, list[_Phrase]] = {}
    for form, i in sorted(owner.items(), key=lambda item: (-len(item[0]), item[0])):
        table.setdefault(form[0], []).append(_Phrase(form, i))
    return {first: tuple(phrases) for first, phrases in table.items()}


def _forms(phrase: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Singular and plural. The last word changes, or the one before "of": "glasses of wine"."""
    if not phrase:
        return
    head = phrase.index("of") - 1 if "of" in phrase[1:] else len(phrase) - 1
    for form in noun_forms(phrase[head]):
        yield (*phrase[:head], form, *phrase[head + 1 :])


def _is_doing(name: str) -> bool:
    return name.endswith("ing") and " " not in name and can_be(name, "VERB")
