"""What a dictionary knows about single English words: inflection and possible parts of speech.

The dictionary is LemmInflect's table, made from the NIH SPECIALIST lexicon; it comes with the package, so
nothing is downloaded. Its neural guesser for unknown words is not used: it takes a millisecond and says
"skises".
"""

from functools import cache, lru_cache

# Plurals that the dictionary lacks.
_IRREGULAR = {"person": ("people", "persons"), "ox": ("oxen",)}
_SIBILANTS = ("s", "x", "z", "ch", "sh")


@lru_cache(
    maxsize=100_000
)  # the neighbours of class words in a million captions, and no more memory than that
def _lemmas(word: str) -> dict[str, tuple[str, ...]]:
    # Imported at first use: reading its tables takes a fraction of a second.
    import lemminflect

    return dict(lemminflect.getAllLemmas(word))


def can_be(word: str, part: str) -> bool:
    """Whether a lower-case word can be a "NOUN", "VERB", "ADJ" or "ADV"; False for unknown words."""
    return part in _lemmas(word)


def is_base(word: str, part: str) -> bool:
    """Whether a word is the dictionary form of that part of speech ("bear", but not "bears" or "bore")."""
    return word in _lemmas(word).get(part, ())


def is_plural(word: str) -> bool:
    """Whether a word can only be the plural of another noun: "skis" is, "scissors" and "sheep" are not."""
    nouns = _lemmas(word).get("NOUN", ())
    return word in ("people", "oxen") or (bool(nouns) and word not in nouns)


@cache
def noun_forms(word: str) -> tuple[str, ...]:
    """Return a noun's written forms, itself first: ("knife", "knives"), ("skis", "ski"), ("scissors",).

    A word that is a plural already gets its singular. Words outside the dictionary follow the regular rules.
    """
    import lemminflect

    if word in _IRREGULAR:
        return (word, *_IRREGULAR[word])
    if is_plural(word):
        return _distinct(word, *_lemmas(word).get("NOUN", ()))
    return _distinct(word, *(lemminflect.getInflection(word, "NNS", inflect_oov=False) or (_regular(word),)))


def _distinct(*words: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))


def _regular(word: str) -> str:
    if not word[-1:].isalpha():
        return word
    if word.endswith("man"):
        return word[:-3] + "men"
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(_SIBILANTS) else "s")
