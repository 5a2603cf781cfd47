"""Images: captions to pixels, painted by a pool of diffusers pipelines.

The actor that paints a shard also writes it: pixels never pass through Ray's object store, and a shard that
is finished survives whatever happens to the job afterwards.
"""

import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, cast

import pyarrow as pa

from t2ipal.errors import UserError
from t2ipal.images.plan import ImageShard, image_shards, surplus, unfinished
from t2ipal.model_folder import check_model_folder
from t2ipal.picturebook.weights import resolve
from t2ipal.recipe import ImagesRecipe, Recipe
from t2ipal.seeds import derive_seed
from t2ipal.stages import captions
from t2ipal.stages.report import StageReport
from t2ipal.store import Store
from t2ipal.tables import IMAGES

STAGE = "images"
CAPTIONS = captions.STAGE
MODEL_FILES = ("model_index.json",)


def pending(recipe: Recipe, store: Store) -> list[str]:
    """Return the names of the shards that are to be painted, or removed; for unwritten captions, their first
    shard.
    """
    shards, planned = store.shards(STAGE), _plan(recipe, store)
    gone = _surplus(planned, store)
    waiting = [f"images-{name.removeprefix('captions-')}-000" for name in _missing_captions(recipe, store)]
    missing = [shard.name for shard in unfinished(planned, shards.done())]
    return sorted([*missing, *gone, *waiting])


def run(recipe: Recipe, store: Store, worker: type["ShardPainter"] | None = None) -> StageReport:
    """Paint the missing shards. Needs an initialised Ray and finished captions.

    `worker` is the class of the pool's actors; None: ShardPainter.
    """
    start = time.monotonic()
    missing_captions = _missing_captions(recipe, store)
    if missing_captions:
        raise UserError(
            f"images: {len(missing_captions)} caption shards are missing, {missing_captions[0]!r} for one",
            "run the stage captions first",
        )
    shards = store.shards(STAGE)
    planned = _plan(recipe, store)
    shards.delete(_surplus(planned, store))
    missing = unfinished(planned, shards.done())
    flagged = (
        sum(report["flagged"] for report in _paint(recipe, store, missing, worker or ShardPainter))
        if missing
        else 0
    )
    manifests = shards.done()
    return StageReport(
        stage=STAGE,
        rows=sum(manifests[shard.name].rows for shard in planned),
        shards_total=len(planned),
        shards_done_before=len(planned) - len(missing),
        seconds=time.monotonic() - start,
        notes={"painted": sum(shard.stop - shard.start for shard in missing), "refused": flagged},
    )


def image_id(caption_id: str, sample: int) -> str:
    """Return the key of one image of a caption."""
    return f"{caption_id}-{sample}"


def _missing_captions(recipe: Recipe, store: Store) -> list[str]:
    return captions.pending(recipe, store)


def _plan(recipe: Recipe, store: Store) -> list[ImageShard]:
    return image_shards(store.shards(CAPTIONS).done(), recipe.images)


def _surplus(planned: list[ImageShard], store: Store) -> list[str]:
    return surplus(planned, store.shards(STAGE).written(), store.shards(CAPTIONS).done())


def _paint(
    recipe: Recipe, store: Store, missing: list[ImageShard], worker: type["ShardPainter"]
) -> Iterator[dict[str, Any]]:
    """Paint shards on the pool; yield a small report of each as it is committed."""
    import ray.data

    from t2ipal.images.schedulers import scheduler_class
    from t2ipal.stages.ray_data import actor_pool, quiet_ray_data, startup_explained

    workers = recipe.images.workers
    model = resolve(recipe.images.model)
    check_model_folder(model, "images.model", MODEL_FILES)
    if recipe.images.scheduler is not None:
        scheduler_class(recipe.images.scheduler)  # what an actor's constructor raises comes as text only
    with quiet_ray_data(), startup_explained(STAGE, "images.model and its settings"):
        rows = ray.data.from_items([asdict(shard) for shard in missing], override_num_blocks=len(missing))
        painted = rows.map(
            cast(Any, worker),  # Ray makes actors of a class; its types know functions only
            fn_constructor_args=(recipe.images, model, recipe.seed, store),
            compute=actor_pool(workers, len(missing)),
            num_cpus=workers.cpus,
            num_gpus=workers.gpus,
        )
        yield from painted.iter_rows()


class ShardPainter:
    """One pipeline, one shard after another."""

    def __init__(self, recipe: ImagesRecipe, model: str, seed: int, store: Store) -> None:
        from t2ipal.images.painter import Painter

        self._recipe, self._seed, self._store = recipe, seed, store
        self._painter = Painter(
            model,
            steps=recipe.steps,
            guidance=recipe.guidance,
            size=recipe.size,
            scheduler=recipe.scheduler,
            dtype=recipe.dtype,
            negative_prompt=recipe.negative_prompt,
            batch=recipe.batch,
            device="cuda" if recipe.workers.gpus else "cpu",
        )

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Paint and write the shard that the row (an ImageShard) describes; return its name and counts."""
        shard = ImageShard(**row)
        rows = self._rows(shard)
        self._store.shards(STAGE).write(shard.name, pa.Table.from_pylist(rows, schema=IMAGES), shard.extra)
        return {"shard": shard.name, "rows": len(rows), "flagged": sum(not row["kept"] for row in rows)}

    def _rows(self, shard: ImageShard) -> list[dict[str, Any]]:
        from t2ipal.images.codec import encode, sha256

        recipe = self._recipe
        texts = self._store.shards(CAPTIONS).read(shard.captions).to_pylist()
        numbers = [divmod(n, recipe.per_caption) for n in range(shard.start, shard.stop)]
        ids = [image_id(texts[c]["caption_id"], sample) for c, sample in numbers]
        seeds = [derive_seed(self._seed, each) for each in ids]
        paintings = self._painter.paint([texts[c]["text"] for c, _ in numbers], seeds)
        rows = []
        for (c, _), each, seed, painting in zip(numbers, ids, seeds, paintings, strict=True):
            data = encode(painting.image, recipe.format, recipe.quality)
            rows.append(
                {
                    "image_id": each,
                    "caption_id": texts[c]["caption_id"],
                    "seed": seed,
                    "image": data,
                    "width": painting.image.width,
                    "height": painting.image.height,
                    "sha256": sha256(data),
                    "labels": texts[c]["labels"],
                    "model": recipe.model,
                    "kept": not painting.flagged,
                    "reason": "refused by the pipeline's safety checker" if painting.flagged else "",
                }
            )
        return rows
