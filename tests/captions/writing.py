"""A language model of one line: whether an answer names what was asked depends on its seed alone."""

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from t2ipal.captions.collect import Answer
from t2ipal.captions.plan import CaptionPlan
from t2ipal.captions.requests import Ask, Request
from t2ipal.captions.rounds import Rounds
from t2ipal.store import Store
from t2ipal.vocabulary import Vocabulary
from tests.recipes import tiny_recipe

WORDS = ("small", "big", "red", "old", "wet", "dark", "flat", "tall")


def answer(request: Request) -> Answer:
    """Name the classes asked for in three of ten answers, with one of a few adjectives."""
    seed = request["sampling_params"]["seed"]
    names = request["messages"][0]["content"].removeprefix("write a caption with ").removesuffix(" .")
    text = f"a {random.Random(seed).choice(WORDS)} {names}" if seed % 10 < 3 else "nothing"
    return Answer(request["shard"], request["index"], request["candidate"], text)


def ask(
    order: Callable[[Sequence[str]], Iterable[str]] = list,
    asked: list[Request] | None = None,
    fails: Callable[[Request], bool] = lambda request: False,
) -> Ask:
    """Return a way to ask that goes through the shards in some order, keeps what was asked, and may fail."""

    def answers(shards, make_requests):
        for request in (request for shard in order(shards) for request in make_requests(shard)):
            if asked is not None:
                asked.append(request)
            if fails(request):
                yield Answer(request["shard"], request["index"], request["candidate"], "", error="no memory")
            else:
                yield answer(request)

    return answers


def rounds(folder: Any, way: Ask, **captions: Any) -> Rounds:
    """Return the rounds of a run of 12 captions in 3 shards."""
    recipe = tiny_recipe(captions={"candidates": 1, **captions})
    store = Store.open(str(folder))
    store.claim(recipe)
    vocabulary = Vocabulary.load(recipe.vocabulary)
    return Rounds(recipe.captions, CaptionPlan.of(recipe), vocabulary, store.shards("captions"), way)
