"""Captions: sentences from a file, in place of a language model's. Needs no Ray.

The whole file is gone through whenever a shard is missing, because whether a sentence is taken depends on all
of them: on one core 30 s for 507,444 narratives of 40 words, 8 s for 591,753 captions.
"""

import time
from collections.abc import Collection
from pathlib import Path

import pyarrow as pa

from t2ipal.captions.annotated import Chosen, Labelled, caption_seed, choose
from t2ipal.captions.collect import caption_id
from t2ipal.captions.report import notes, unnamed, write_report
from t2ipal.captions.sentences import format_of
from t2ipal.captions_recipe import AnnotatedCaptionsRecipe
from t2ipal.run_files import CAPTION_REPORT
from t2ipal.shard_names import captions_shard
from t2ipal.shards import Shards
from t2ipal.stages.effort import Effort, Work
from t2ipal.stages.report import StageReport
from t2ipal.tables import CAPTIONS
from t2ipal.vocabulary import Vocabulary

BYTES = "bytes"  # of the file: its work, whatever the captions that are taken


def pending(shards: Shards) -> list[str]:
    """Return the names of the shards that are not there yet; of a table not begun, the first one's.

    How many there are, the file alone says; every manifest repeats it.
    """
    done = shards.done()
    count = next((manifest.extra["shards"] for manifest in done.values()), 1)
    return [name for name in names(count) if name not in done]


def run(recipe: AnnotatedCaptionsRecipe, vocabulary: Vocabulary, seed: int, shards: Shards) -> StageReport:
    """Write the missing shards; UserError when the file cannot be read or names no class."""
    start = time.monotonic()
    before = shards.done()
    effort = Effort()
    if pending(shards):
        _write(recipe, choose(recipe, vocabulary, seed), seed, shards, before)
        size = Path(recipe.path).stat().st_size
        effort = Effort({BYTES: Work(size, time.monotonic() - start)})
    manifests = shards.done()
    extra = next(iter(manifests.values())).extra
    figures = {name: count for name, count in extra.items() if name != "shards"}
    complete = len(before) == len(manifests)
    there = shards.store.find_json(CAPTION_REPORT) if complete else None
    report = there or write_report(shards, manifests, vocabulary, figures)
    return StageReport(
        stage=shards.stage,
        rows=sum(manifest.rows for manifest in manifests.values()),
        shards_total=len(manifests),
        shards_done_before=len(before),
        seconds=time.monotonic() - start,
        notes={**{name.replace("_", " "): count for name, count in figures.items()}, **notes(report)},
        warning=unnamed(report),
        made_anew="" if there or not complete else CAPTION_REPORT,
        effort=effort,
    )


def names(count: int) -> list[str]:
    """Return the names of so many shards."""
    return [*map(captions_shard, range(count))]


def _write(
    recipe: AnnotatedCaptionsRecipe, chosen: Chosen, seed: int, shards: Shards, done: Collection[str]
) -> None:
    starts = range(0, len(chosen.captions), recipe.shard_rows)
    for name, at in zip(names(len(starts)), starts, strict=True):
        if name not in done:
            rows = [_row(recipe, each, seed) for each in chosen.captions[at : at + recipe.shard_rows]]
            table = pa.Table.from_pylist(rows, schema=CAPTIONS)
            shards.write(name, table, {"shards": len(starts), **chosen.counts})


def _row(recipe: AnnotatedCaptionsRecipe, caption: Labelled, seed: int) -> dict[str, object]:
    path = Path(recipe.path)
    return {
        "caption_id": caption_id(caption.number),
        "text": caption.text,
        "labels": caption.labels,
        "requested": caption.labels,
        "source": format_of(path),
        "model": path.name,
        "seed": caption_seed(seed, caption.number),
    }
