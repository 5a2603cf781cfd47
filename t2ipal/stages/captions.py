"""Captions: class names to sentences, by a language model in vLLM through ray.data.llm, or on a server.

A recipe may give a file of sentences instead; the same table is then made from that.
"""

import time
from collections.abc import Generator, Mapping, Sequence
from functools import partial
from typing import Any

from t2ipal.captions.arrivals import Arrivals
from t2ipal.captions.collect import Answer
from t2ipal.captions.plan import CaptionPlan
from t2ipal.captions.prior import prior_of
from t2ipal.captions.report import acceptance, notes, unnamed, write_report
from t2ipal.captions.requests import Ask, MakeRequests
from t2ipal.captions.rounds import Rounds
from t2ipal.captions_recipe import AnnotatedCaptionsRecipe, CaptionsRecipe
from t2ipal.errors import UserError
from t2ipal.model_folder import check_model_folder
from t2ipal.picturebook.weights import resolve
from t2ipal.recipe import Recipe
from t2ipal.run_files import CAPTION_DRAFTS, CAPTION_REPORT
from t2ipal.shards import Manifest
from t2ipal.stages import annotated_captions
from t2ipal.stages.effort import Effort, Work
from t2ipal.stages.report import StageReport
from t2ipal.store import Store
from t2ipal.vocabulary import Vocabulary
from t2ipal.watch import Watch, unwatched

STAGE = "captions"
ANSWERS = "answers"  # its work, in place of rows: of each it asks for several
MODEL_FILES = ("config.json", "tokenizer_config.json")


def pending(recipe: Recipe, store: Store) -> list[str]:
    """Return the names of the shards that are not there yet."""
    if recipe.captions is None:
        return annotated_captions.pending(store.shards(STAGE))
    return store.shards(STAGE).missing(CaptionPlan.of(recipe).shards())


def run(recipe: Recipe, store: Store, ask: Ask | None = None, watch: Watch = unwatched) -> StageReport:
    """Write the missing shards, and a report on all of them.

    Needs an initialised Ray, unless the captions come from a file or a server. If the model fails on single
    rows the others are still finished, and then a UserError says how many failed; their shards stay missing.
    `ask` reaches the language model; None: the one that the recipe names. `watch` is told of its answers.
    """
    if isinstance(source := recipe.caption_source, AnnotatedCaptionsRecipe):
        vocabulary = Vocabulary.load(recipe.vocabulary)
        return annotated_captions.run(source, vocabulary, recipe.seed, store.shards(STAGE))
    return _run_model(recipe, source, store, ask or partial(_answers, source), watch)


def _run_model(recipe: Recipe, captions: CaptionsRecipe, store: Store, ask: Ask, watch: Watch) -> StageReport:
    start = time.monotonic()
    names, shards = CaptionPlan.of(recipe).shards(), store.shards(STAGE)
    missing = pending(recipe, store)
    arrivals = Arrivals(ask)
    if missing:
        _write(recipe, captions, store, missing, arrivals, watch)
    store.delete_folder(CAPTION_DRAFTS)  # empty now, unless a job was killed after its last shard
    done = shards.done()
    manifests = {name: done[name] for name in names}
    there = None if missing else store.find_json(CAPTION_REPORT)
    if not any(manifest.rows for manifest in manifests.values()):
        raise _nothing_kept(captions, [manifest.extra for manifest in manifests.values()])
    report = there or _write_report(recipe, store, manifests)
    return StageReport(
        stage=STAGE,
        rows=sum(manifest.rows for manifest in manifests.values()),
        shards_total=len(names),
        shards_done_before=len(names) - len(missing),
        seconds=time.monotonic() - start,
        notes=_notes(captions, report),
        warning=unnamed(report),
        made_anew="" if missing or there else CAPTION_REPORT,
        effort=_effort(captions, arrivals, len(missing)) if missing else Effort(),
    )


def _write(
    recipe: Recipe,
    captions: CaptionsRecipe,
    store: Store,
    missing: Sequence[str],
    arrivals: Arrivals,
    watch: Watch,
) -> None:
    vocabulary = Vocabulary.load(recipe.vocabulary)
    plan = CaptionPlan.of(recipe, prior_of(captions, vocabulary, recipe.seed, store, arrivals.ask))
    Rounds(captions, plan, vocabulary, store.shards(STAGE), arrivals, watch).complete(missing)


def _effort(captions: CaptionsRecipe, arrivals: Arrivals, shards: int) -> Effort:
    """Return the work of the engines, among which the requests are divided; a server counts as one."""
    engines = 1 if captions.endpoint is not None else min(captions.workers.max, shards)
    return Effort({ANSWERS: Work(arrivals.answers, arrivals.seconds * engines)}, engines)


def _answers(
    captions: CaptionsRecipe, shards: Sequence[str], make_requests: MakeRequests
) -> Generator[Answer]:
    """Yield the language model's answers to all requests of some shards, in the order in which they come."""
    if captions.endpoint is not None:
        from t2ipal.captions.endpoint import endpoint_answers

        requests = (request for shard in shards for request in make_requests(shard))
        return endpoint_answers(captions.endpoint, captions.model, requests)
    check_model_folder(resolve(captions.model), "captions.model", MODEL_FILES)
    from t2ipal.stages.engine import engine_answers

    return engine_answers(captions, shards, make_requests)


def _write_report(recipe: Recipe, store: Store, manifests: Mapping[str, Manifest]) -> dict[str, Any]:
    figures = acceptance(manifest.extra for manifest in manifests.values())
    return write_report(store.shards(STAGE), manifests, Vocabulary.load(recipe.vocabulary), figures)


def _notes(captions: CaptionsRecipe, report: Mapping[str, Any]) -> dict[str, float | int | str]:
    duplicates = {} if captions.drop_similar is None else {"duplicates": report["duplicates"]}
    return {
        "asked": report["asked"],
        "rejected": report["rejected"],
        **duplicates,
        "acceptance": report["acceptance"],
        **notes(report),
    }


def _nothing_kept(captions: CaptionsRecipe, shards: list[dict[str, Any]]) -> UserError:
    example = next((each["answer"] for extra in shards for each in extra.get("rejections", ())), "")
    return UserError(
        f"captions: of {captions.count} captions by {captions.model!r} none names exactly the "
        f"classes that it was asked for; an answer: {example!r}",
        "change captions.prompt or captions.model, and give another run folder",
    )
