"""A worker that costs what it is told to: all of the images stage but the engine, without importing torch."""

import os
import time
from dataclasses import asdict
from typing import Any, ClassVar

import pyarrow as pa

from t2ipal.images.plan import ImageShard
from t2ipal.images.rows import Counts
from t2ipal.images_recipe import ImagesRecipe
from t2ipal.model_thread import ModelThread
from t2ipal.stages.images import CAPTIONS, STAGE, ShardPainter, image_id
from t2ipal.store import Store
from t2ipal.tables import IMAGES

WORKER = "worker"  # in a manifest's `extra`: which process wrote the shard


class StandIn(ShardPainter):
    """Takes its time over a shard as a GPU would, then writes its rows, whose images hold no bytes."""

    seconds: ClassVar[float] = 0.0

    def __init__(self, recipe: ImagesRecipe, *given: Any) -> None:
        # What comes between is for the pipeline; the last one is the store.
        self._recipe = recipe
        self._store: Store = given[-1]
        self._on_its_thread = ModelThread("none")

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Write the shard, and its worker into the manifest; return what the stage expects of a worker."""
        shard = ImageShard(**row)
        self._on_its_thread(time.sleep, self.seconds)
        about = {"worker": str(os.getpid()), "painting_s": self.seconds}
        captions = self._store.shards(CAPTIONS).read(shard.captions)
        part = captions.slice(shard.start, shard.stop - shard.start)
        table = pa.Table.from_pylist([_row(each) for each in part.to_pylist()], schema=IMAGES)
        self._store.shards(STAGE).write(shard.name, table, shard.extra | {WORKER: os.getpid()})
        return {"shard": shard.name, "rows": table.num_rows, **asdict(Counts(0, 0, 0)), **about}


def stand_in(seconds: float) -> type[StandIn]:
    """Return the class of workers that sleep so long over each shard."""
    return type("FixedCost", (StandIn,), {"seconds": seconds})


def _row(caption: dict[str, Any]) -> dict[str, Any]:
    return {
        "image_id": image_id(caption["caption_id"], 0),
        "caption_id": caption["caption_id"],
        "seed": 0,
        "image": b"",
        "width": 0,
        "height": 0,
        "sha256": "",
        "labels": caption["labels"],
        "model": "stand-in",
        "kept": False,
        "reason": "a stand-in painted it",
    }
