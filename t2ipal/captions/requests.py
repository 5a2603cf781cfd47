"""What a language model is asked: the same for an engine of the job's own and for a server.

Requests are made by unit of work where they are sent, so that no list of all of them exists anywhere.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from t2ipal.captions.collect import Answer, answer_seed
from t2ipal.captions.drafts import Drafts
from t2ipal.captions.prompt import chat_messages, prior_messages
from t2ipal.captions_recipe import CaptionsRecipe, PriorRecipe
from t2ipal.seeds import derive_seed
from t2ipal.vocabulary import Vocabulary


class Request(TypedDict):
    """One request, in the columns that ray.data.llm reads; an `Answer` repeats the first three of them."""

    shard: str
    index: int
    candidate: int
    messages: list[dict[str, str]]
    sampling_params: dict[str, Any]


MakeRequests = Callable[[str], list[Request]]
"""From the name of a shard to its requests. Picklable."""

Ask = Callable[[Sequence[str], MakeRequests], Generator[Answer]]
"""Yields the answers to all requests of some shards, in the order in which they come."""


@dataclass(frozen=True)
class CaptionRequests:
    """The requests for those rows of a shard that have no caption yet, asked for the `attempt`-th time."""

    captions: CaptionsRecipe
    vocabulary: Vocabulary
    drafts: Drafts
    attempt: int = 1

    def __call__(self, shard: str) -> list[Request]:
        """Return the requests of a shard."""
        plan, number = self.drafts.plan, self.captions.candidates
        start = (self.attempt - 1) * number
        return [
            Request(
                shard=shard,
                index=index,
                candidate=candidate,
                messages=chat_messages(
                    self.captions.prompt, [self.vocabulary.names[i] for i in plan.classes(index)]
                ),
                sampling_params={
                    "temperature": self.captions.temperature,
                    "max_tokens": self.captions.max_tokens,
                    "seed": answer_seed(plan.seed, index, candidate),
                },
            )
            for index in self.drafts.open_rows(shard, self.attempt)
            for candidate in range(start, start + number)
        ]


@dataclass(frozen=True)
class PriorRequests:
    """The requests with which of the other classes each class is seen; a row is a class."""

    prior: PriorRecipe
    prompt: str
    temperature: float
    vocabulary: Vocabulary
    seed: int

    def __call__(self, shard: str) -> list[Request]:
        """Return all requests: a table of classes is small."""
        return [
            Request(
                shard=shard,
                index=index,
                candidate=candidate,
                messages=prior_messages(
                    self.prompt, name, [each for each in self.vocabulary.names if each != name]
                ),
                sampling_params={
                    "temperature": self.temperature,
                    "max_tokens": self.prior.max_tokens,
                    "seed": derive_seed(self.seed, "prior", name, candidate),
                },
            )
            for index, name in enumerate(self.vocabulary.names)
            for candidate in range(self.prior.answers)
        ]
