"""Which of the model's answers becomes a caption."""

from collections.abc import Iterable, Sequence

from t2ipal.vocabulary import Vocabulary

_QUOTES = "\"'\u201c\u201d\u2018\u2019"


def normalise(answer: str) -> str:
    """Return the first non-empty line of an answer, with single spaces and no quotation marks around it."""
    lines = (" ".join(line.split()) for line in answer.splitlines())
    first = next((line for line in lines if line), "")
    if len(first) > 1 and first[0] in _QUOTES and first[-1] in _QUOTES:
        first = first[1:-1].strip()
    return first


def first_accepted(
    answers: Sequence[str], requested: Iterable[int], vocabulary: Vocabulary
) -> tuple[int, str] | None:
    """Return (position, normalised text) of the first answer naming exactly the requested classes, or None.

    A caption that names more or fewer classes than were asked for would give the image wrong labels or upset
    the balance of the plan, so it is not taken.
    """
    wanted = tuple(sorted(requested))
    for position, answer in enumerate(answers):
        text = normalise(answer)
        if vocabulary.labels(text) == wanted:
            return position, text
    return None
