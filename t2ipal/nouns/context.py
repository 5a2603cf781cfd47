"""Whether a word in its sentence names a thing that is there.

TaI-DPT tags every word with a trained tagger (arXiv 2211.12739); that needs a download. Here a few rules
over the nearest words do the part of it that matters for class names. What they cannot tell apart: two
readings of one noun ("bat", "mouse", "plane") beyond the listed compounds, verbs without a telling
neighbour ("she likes to, on Sundays, ski"), negation farther than a few words, and whether a thing is there
or only spoken of ("a photo for a car magazine").
"""

from collections.abc import Sequence
from typing import NamedTuple

from t2ipal.nouns import word_lists as words
from t2ipal.nouns.english import can_be, is_base, is_plural, noun_forms


class Place(NamedTuple):
    """A word or phrase in a sentence: `tokens[start:end]`. Beyond the ends of a sentence all words are ""."""

    tokens: Sequence[str]
    start: int
    end: int

    def before(self, steps: int = 1) -> str:
        """The word that many steps before the phrase."""
        return self.tokens[self.start - steps] if self.start >= steps else ""

    def after(self, steps: int = 1) -> str:
        """The word that many steps after the phrase."""
        position = self.end + steps - 1
        return self.tokens[position] if position < len(self.tokens) else ""

    @property
    def word(self) -> str:
        """The phrase's last word, which carries its inflection."""
        return self.tokens[self.end - 1]


def is_negated(place: Place) -> bool:
    """Whether a negator stands right before: "no cars", "without a single car", "no cars or people"."""
    if place.before() in ("or", "nor") and place.start > 1:
        return is_negated(Place(place.tokens, place.start - 2, place.start - 1))
    position = place.start - 1
    if can_be(_at(place, position), "ADJ") and _at(place, position) not in words.NEGATED_BETWEEN:
        position -= 1
    while _at(place, position) in words.NEGATED_BETWEEN:
        position -= 1
    return _at(place, position) in words.NEGATORS


def is_modifier(place: Place, a_thing_follows: bool) -> bool:
    """Whether a noun only says what the next noun is for: "bus stop", "apple pie", "baby elephant".

    `a_thing_follows`: the next word is another class's noun. Plurals do not modify ("dogs house").
    """
    if is_plural(place.word) or place.word in words.PRONOUNS:
        return False
    head = place.after()
    if a_thing_follows:
        return head not in words.HEADS_WITH_IT
    if can_be(head, "VERB") and _has_plural_verb(place):
        return False
    if is_plural(head) and (not can_be(head, "VERB") or place.before() in words.SEVERAL):
        return _singular(head) in words.HEADS_ELSEWHERE
    return head in words.HEADS_ELSEWHERE or head in words.PLURAL_HEADS_ELSEWHERE


def is_verb(place: Place) -> bool:
    """Whether a word that can be a verb is one here: "can ski", "to book", "he bottles", "cars park"."""
    word, before = place.word, place.before()
    if not can_be(word, "VERB"):
        return False
    if is_base(word, "VERB"):
        return _after_modal(place) or before in words.SUBJECTS or _plural_subject(before) or _addresses(place)
    return before in words.SUBJECTS or before in words.PERSONS or _has_object(place)


def is_adjective(place: Place) -> bool:
    """Whether a word that can be an adjective is one here: "orange shirt", "bright orange"."""
    if not can_be(place.word, "ADJ"):
        return False
    if place.before() in words.BEFORE_ADJECTIVE and place.before(2) not in words.DETERMINERS:
        return True
    return _beside_colour(place) or _before_noun(place)


def _at(place: Place, position: int) -> str:
    return place.tokens[position] if position >= 0 else ""


def _singular(plural: str) -> str:
    return noun_forms(plural)[-1]


def _has_plural_verb(place: Place) -> bool:
    """ "Two sheep stand", "a cat and a dog stand": no singular, so the next word can be their verb."""
    return (
        noun_forms(place.word) == (place.word,)
        or "and" in place.tokens[max(place.start - 3, 0) : place.start]
    )


def _after_modal(place: Place) -> bool:
    if place.before() == "to":
        return place.before(2) not in words.PLACE_BEFORE_TO
    # After an article "can" and "will" are nouns: "a can", "the will".
    return place.before() in words.MODALS and place.before(2) not in words.DETERMINERS


def _plural_subject(word: str) -> bool:
    """Compounds begin with a singular, so a plural before a bare verb is its subject. Not so "holds bat"."""
    return is_plural(word) and (word in words.PERSONS or not can_be(word, "VERB"))


def _has_object(place: Place) -> bool:
    """A noun, then this, then an article: "a boy trains his puppy"."""
    subject = place.before()
    return place.after() in words.ARTICLES_AND_OWNERS and (
        subject in words.PERSONS or (can_be(subject, "NOUN") and not can_be(subject, "VERB"))
    )


def _addresses(place: Place) -> bool:
    """An order to the reader: "bear with us", "book your flight"."""
    return place.before() in ("", "please") and (
        place.after() in ("your", "my", "our")
        or (place.after() in ("with", "for") and place.after(2) in ("me", "us"))
    )


def _beside_colour(place: Place) -> bool:
    """Two colours joined by "and" describe one thing: "orange and black cat"."""
    if place.word not in words.COLOURS:
        return False
    joints = ("and", "or", "&")
    return (place.after() in joints and place.after(2) in words.COLOURS) or (
        place.before() in joints and place.before(2) in words.COLOURS
    )


def _before_noun(place: Place) -> bool:
    follower, then = place.after(), place.after(2)
    if follower in words.AFTER_NOUN or follower in words.PORTIONS or _singular(follower) in words.PORTIONS:
        return False
    if can_be(follower, "NOUN"):
        return not is_plural(follower) or not can_be(follower, "VERB") or not _is_subject(place)
    return can_be(follower, "ADJ") and can_be(then, "NOUN") and then not in words.AFTER_NOUN


def _is_subject(place: Place) -> bool:
    """ "The orange falls": after an article, a form in -s that can be a verb mostly is one."""
    return place.before() in ("the", "an", "a")
