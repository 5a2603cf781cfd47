"""A run with captions as a language model leaves them, and images painted in this process: no Ray."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NoReturn

import pyarrow as pa

from t2ipal.captions.collect import answer_seed, caption_id
from t2ipal.captions.plan import CaptionPlan
from t2ipal.captions.prior import prior_of
from t2ipal.captions.requests import MakeRequests
from t2ipal.images.plan import image_shards
from t2ipal.recipe import Recipe
from t2ipal.stages.images import ShardPainter
from t2ipal.store import Store
from t2ipal.tables import CAPTIONS
from t2ipal.vocabulary import Vocabulary
from tests.whole_table import read_all


def begun(uri: str, recipe: Recipe) -> Store:
    """Return a claimed run with its captions, every fourth of them rejected."""
    store = Store.open(uri)
    store.claim(recipe)
    vocabulary = Vocabulary.load(recipe.vocabulary)
    plan = CaptionPlan.of(recipe, prior_of(recipe.captions, vocabulary, recipe.seed, store, _no_model))
    for shard in plan.shards():
        asked = plan.rows(shard)
        rows = [_caption(recipe, plan, row) for row in asked if row % 4 != 2]
        extra = {"asked": len(asked), "kept": len(rows), "rejected": len(asked) - len(rows)}
        store.shards("captions").write(shard, pa.Table.from_pylist(rows, schema=CAPTIONS), extra)
    return store


def _no_model(shards: Sequence[str], requests: MakeRequests) -> NoReturn:
    raise AssertionError("a prior that asks a language model")


def paint(recipe: Recipe, store: Store) -> None:
    """Do the work of the stage images, one shard after another."""
    painter = ShardPainter(recipe.images, recipe.seed, store)
    for shard in image_shards(store.shards("captions").done(), recipe.images):
        painter(asdict(shard))


def pictures(store: Store) -> dict[str, str]:
    """Return the checksums of all images by their keys; each key is there once."""
    rows = read_all(store.shards("images")).select(["image_id", "sha256"]).to_pylist()
    found = {row["image_id"]: row["sha256"] for row in rows}
    assert len(found) == len(rows)
    return found


def _caption(recipe: Recipe, plan: CaptionPlan, row: int) -> dict[str, Any]:
    return {
        "caption_id": caption_id(row),
        "text": f"a picture of thing {row}",
        "labels": sorted(plan.classes(row)),
        "requested": sorted(plan.classes(row)),
        "source": "test",
        "model": "test",
        "seed": answer_seed(recipe.seed, row, row % 2),  # the first answer or the second one
    }
