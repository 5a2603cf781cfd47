"""Which classes meet, learned from a file of captions or from the language model, and kept in the run.

What is kept are the shares that the plan follows, so that it is the same on any machine, and no job that goes
on reads the file, or asks, again.
"""

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from t2ipal.captions.cooccurrence import Cooccurrence, LabelCounts, count_labels
from t2ipal.captions.requests import Ask, PriorRequests
from t2ipal.captions.sentences import read_sentences
from t2ipal.captions_recipe import CaptionsRecipe, PriorRecipe
from t2ipal.errors import UserError
from t2ipal.run_files import CAPTION_PRIOR
from t2ipal.store import Store
from t2ipal.vocabulary import Vocabulary

_SHARD = "prior"
_LISTED = re.compile(r"[\n,;]")  # between the names of an answer: the noun matcher expects sentences


def prior_of(
    captions: CaptionsRecipe, vocabulary: Vocabulary, seed: int, store: Store, ask: Ask
) -> Cooccurrence | None:
    """Return the run's prior, which the first call makes; None if the recipe has none.

    Raises UserError when its source names no two classes together, or some answers failed.
    """
    if captions.prior is None:
        return None
    if not store.exists(CAPTION_PRIOR):
        counts = _counts(captions, captions.prior, vocabulary, seed, ask)
        _check(captions.prior, counts)
        prior = Cooccurrence.of_counts(
            counts, captions.prior.uniform, captions.prior.balance, captions.classes_per_caption[1]
        )
        content = {"sentences": counts.sentences, **prior.to_json(vocabulary.names)}
        store.write_json(CAPTION_PRIOR, content)
    return stored_prior(vocabulary, store)


def check_corpus(prior: PriorRecipe, vocabulary: Vocabulary) -> None:
    """Raise the UserError of a corpus that `prior_of` cannot use, in about the time of reading it: only up to
    the first sentence that names two classes are any looked at.
    """
    if prior.corpus is None:
        return
    sentences = list(read_sentences(Path(prior.corpus)))
    if not any(len(vocabulary.labels(each.text)) > 1 for each in sentences):
        raise _meet_nowhere(prior, len(sentences))


def stored_prior(vocabulary: Vocabulary, store: Store) -> Cooccurrence:
    """Return the prior kept in a run; FileNotFoundError if there is none, UserError if it is damaged."""
    try:
        return Cooccurrence.from_json(store.read_json(CAPTION_PRIOR), vocabulary.names)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{store.uri_of(CAPTION_PRIOR)} is damaged: {error.__cause__ or error!r}",
            "give another run folder: the captions that are there followed what it said",
        ) from error


def _counts(
    captions: CaptionsRecipe, prior: PriorRecipe, vocabulary: Vocabulary, seed: int, ask: Ask
) -> LabelCounts:
    if prior.corpus is not None:
        sentences = read_sentences(Path(prior.corpus))
        return count_labels((vocabulary.labels(each.text) for each in sentences), len(vocabulary))
    requests = PriorRequests(prior, str(prior.prompt), captions.temperature, vocabulary, seed)
    return count_labels(_answered(requests, vocabulary, ask), len(vocabulary))


def _answered(requests: PriorRequests, vocabulary: Vocabulary, ask: Ask) -> Iterator[tuple[int, ...]]:
    """Yield, for each answer, the class that was asked about and those that the answer names."""
    with closing(ask([_SHARD], requests)) as answers:
        for answer in answers:
            if answer.error:
                raise UserError(
                    f"captions.prior: the language model failed on an answer with {answer.error}",
                    "correct the cause and run again",
                )
            named = {label for part in _LISTED.split(answer.text) for label in vocabulary.labels(part)}
            yield tuple(sorted(named | {answer.index}))


def _check(prior: PriorRecipe, counts: LabelCounts) -> None:
    if not counts.pairs.any():
        raise _meet_nowhere(prior, counts.sentences)


def _meet_nowhere(prior: PriorRecipe, sentences: int) -> UserError:
    what = f"the sentences of {prior.corpus!r}" if prior.corpus else "the answers to captions.prior.prompt"
    return UserError(
        f"captions.prior: none of {what} ({sentences}) names two classes of the vocabulary",
        "change captions.prior, or remove it: then any classes meet",
    )
