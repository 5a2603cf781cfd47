"""Images: captions to pixels, painted by a pool of diffusers pipelines.

The actor that paints a shard also writes it: pixels never pass through Ray's object store, and a shard that
is finished survives whatever happens to the job afterwards.
"""

import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, fields
from statistics import median
from typing import Any, cast

import pyarrow as pa

from t2ipal.errors import UserError
from t2ipal.images.lost_device import DeviceLostError, end_process, forget_losses
from t2ipal.images.plan import ImageShard, image_shards, surplus, unfinished
from t2ipal.images.rows import Counts, Painted, Wanted, paint_rows
from t2ipal.images_recipe import ImagesRecipe
from t2ipal.model_folder import check_model_folder
from t2ipal.model_thread import ModelThread
from t2ipal.picturebook.weights import resolve
from t2ipal.recipe import Recipe
from t2ipal.shard_names import images_shard
from t2ipal.stages import captions
from t2ipal.stages.effort import Effort, Work
from t2ipal.stages.report import StageReport
from t2ipal.stages.sheets import write_sheets
from t2ipal.store import Store
from t2ipal.tables import IMAGES
from t2ipal.vocabulary import Vocabulary
from t2ipal.watch import Progress, Watch, unwatched

STAGE = "images"
CAPTIONS = captions.STAGE
MODEL_FILES = ("model_index.json",)
_COUNTS = [field.name for field in fields(Counts)]


def pending(recipe: Recipe, store: Store) -> list[str]:
    """Return the names of the shards that are to be painted, or removed; while captions are unwritten, the
    first shard of each of theirs, painted or not.
    """
    if waiting := _missing_captions(recipe, store):
        return [images_shard(name, 0) for name in waiting]
    planned = _plan(recipe, store)
    missing = [shard.name for shard in unfinished(planned, store.shards(STAGE).done())]
    return sorted([*missing, *_surplus(planned, store)])


def run(
    recipe: Recipe,
    store: Store,
    worker: type["ShardPainter"] | None = None,
    watch: Watch = unwatched,
) -> StageReport:
    """Paint the missing shards, and sheets of some of the images. Needs finished captions, and an
    initialised Ray where shards are missing.

    `worker` is the class of the pool's actors; None: ShardPainter. `watch` is told of painted shards.
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
    told: Counter[str] = Counter()
    painters = Painters(recipe.images.workers.max)
    to_paint = sum(shard.stop - shard.start for shard in missing)
    if missing:
        forget_losses(shards)
        for report in _paint(recipe, store, missing, worker or ShardPainter):
            told.update({name: report[name] for name in ("rows", *_COUNTS)})
            painters.add(report)
            counts = {name: told[name] for name in _COUNTS if told[name]}
            watch(Progress(told["rows"], to_paint, "images", counts))
    manifests, written = shards.done(), store.shards(CAPTIONS).done().values()
    painted = sum(shard.stop - shard.start for shard in planned) // recipe.images.per_caption
    sheets = write_sheets(store, Vocabulary.load(recipe.vocabulary).names, planned, manifests)
    return StageReport(
        stage=STAGE,
        rows=sum(manifests[shard.name].rows for shard in planned),
        shards_total=len(planned),
        shards_done_before=len(planned) - len(missing),
        seconds=time.monotonic() - start,
        notes={
            "painted": told["rows"],
            **{name: told[name] for name in _COUNTS},
            "captions unpainted": sum(each.rows for each in written) - painted,
            "sheets": sheets,
        },
        made_anew=f"{sheets} contact sheets" if sheets and not missing else "",
        effort=painters.effort(),
    )


def check_settings(recipe: ImagesRecipe) -> None:
    """Raise UserError for a scheduler, options or a negative prompt that the model does not take, as far as
    that can be told before a worker loads it.
    """
    if recipe.scheduler is not None or recipe.options or recipe.negative_prompt:
        from t2ipal.images import pipelines  # importing diffusers takes seconds

        pipelines.check_settings(recipe)


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
    """Paint shards on the pool; yield a small report of each."""
    from t2ipal.stages.ray_data import IN_HAND, actor_pool, quiet_ray_data, shards_to_do, startup_explained

    workers = recipe.images.workers
    check_model_folder(resolve(recipe.images.model), "images.model", MODEL_FILES)
    check_settings(recipe.images)  # what an actor's constructor raises comes as text only
    with quiet_ray_data(IN_HAND, workers.labels), startup_explained(STAGE, "images.model and its settings"):
        rows = shards_to_do([asdict(shard) for shard in missing], workers)
        painted = rows.map(
            cast(Any, worker),  # Ray makes actors of a class; its types know functions only
            fn_constructor_args=(recipe.images, recipe.seed, store),
            compute=actor_pool(workers, len(missing)),
            num_cpus=workers.cpus,
            num_gpus=workers.gpus,
        )
        yield from painted.iter_rows()


class Painters:
    """What the workers of the pool tell of their painting, shard by shard."""

    def __init__(self, most: int) -> None:
        """`most` is how many there are at a time; a lost one is replaced, and its successor is another."""
        self._most = most
        self._workers: set[str] = set()
        self._per_row: list[float] = []  # seconds
        self._rows = self._shards = 0

    def add(self, report: Mapping[str, Any]) -> None:
        """Take a worker's report of a shard that it has painted."""
        if not report["painting_s"]:  # which it found painted, or empty
            return
        self._workers.add(report["worker"])
        self._per_row.append(report["painting_s"] / report["rows"])
        self._rows += report["rows"]
        self._shards += 1

    def effort(self) -> Effort:
        """Return the work of all of them.

        A row counts as in the middle one of the shards: what a worker's first images take longer, as where
        the model is compiled, comes once.
        """
        if not self._shards:
            return Effort()
        work = Work(self._rows, self._rows * median(self._per_row))
        return Effort({STAGE: work}, min(len(self._workers), self._most), self._shards)


class ShardPainter:
    """One pipeline, which paints one shard after another; calls may come from several threads, so that one is
    written while the next is painted.
    """

    def __init__(self, recipe: ImagesRecipe, seed: int, store: Store) -> None:
        from t2ipal.images.painter import Painter

        self._recipe, self._seed, self._store = recipe, seed, store
        # A share of a GPU, too, is one that CUDA sees.
        device = "cuda" if recipe.workers.gpus else "cpu"
        self._on_its_thread = ModelThread(device)
        self._painter = self._on_its_thread(Painter, recipe, device)
        self._given_up: UserError | None = None
        self._name = uuid.uuid4().hex
        self._encoders = ThreadPoolExecutor(max(1, round(recipe.workers.cpus)), thread_name_prefix="encoder")

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Paint and write the shard that the row (an ImageShard) describes; return its name and counts.

        Ends the process when its device is lost.
        """
        shard, shards = ImageShard(**row), self._store.shards(STAGE)
        # Rows of a block whose worker was lost come once more.
        written, painting_s = shards.find(shard.name), 0.0
        if written is None or unfinished([shard], {shard.name: written}):
            painted, painting_s = self._on_its_thread(self._paint, shard, self._wanted(shard))
            rows, counts = painted.finished()
            table = pa.Table.from_pylist(rows, schema=IMAGES)
            written = shards.write(shard.name, table, shard.extra | asdict(counts))
        told = {name: written.extra.get(name, 0) for name in _COUNTS}
        about = {"worker": self._name, "painting_s": painting_s if written.rows else 0.0}
        return {"shard": shard.name, "rows": written.rows, **told, **about}

    def _paint(self, shard: ImageShard, wanted: list[Wanted]) -> tuple[Painted, float]:
        """Return what was painted, and the seconds that it took, without those of waiting for its turn."""
        # A shard behind another one that has lost the device is not to meet it, and be blamed for it.
        if self._given_up is not None:
            raise self._given_up
        try:
            start = time.monotonic()
            painted = paint_rows(self._painter, self._recipe, self._seed, wanted, self._encoders)
            return painted, time.monotonic() - start
        except DeviceLostError as lost:
            try:
                end_process(self._store.shards(STAGE), shard.name, lost)
            except UserError as error:
                self._given_up = error
                raise

    def _wanted(self, shard: ImageShard) -> list[Wanted]:
        rows = self._store.shards(CAPTIONS).read(shard.captions).to_pylist()
        places = (divmod(number, self._recipe.per_caption) for number in range(shard.start, shard.stop))
        return [Wanted(image_id(rows[place]["caption_id"], sample), rows[place]) for place, sample in places]
