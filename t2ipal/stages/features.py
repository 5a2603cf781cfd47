"""Features: frozen CLIP features of synthetic images, of their captions, of the test set, and of labelled
photos where a comparison asks for them.

One pool of backbones works on the shards of all tables; whoever computes a shard also writes it. A shard
remembers the checksum of the shard that it was computed from, and is computed again when that one has
changed.
"""

import io
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

from t2ipal.errors import UserError
from t2ipal.evaluation.datasets import Dataset
from t2ipal.evaluation.shards import Purpose, open_photos, part_numbers, split_photos
from t2ipal.feature_faults import not_finite
from t2ipal.model_folder import check_model_folder
from t2ipal.model_thread import ModelThread
from t2ipal.picturebook.weights import resolve
from t2ipal.recipe import Recipe
from t2ipal.shards import Manifest
from t2ipal.stages import images
from t2ipal.stages.effort import Effort, Laps, Work
from t2ipal.stages.report import StageReport
from t2ipal.store import Store
from t2ipal.tuning import agreement
from t2ipal.tuning.source import CAPTIONS as CAPTION_FEATURES
from t2ipal.tuning.source import LABELLED, SYNTHETIC, is_crop, planned_images, view_ids
from t2ipal.watch import Watch, unwatched, watched

if TYPE_CHECKING:
    import pyarrow as pa
    from PIL import Image

    from t2ipal.clip.vision import ImageFeatures

STAGE = "features"
IMAGES, CAPTIONS, TEST, TRAIN = SYNTHETIC, CAPTION_FEATURES, "test_features", LABELLED  # tables
PHOTOS: dict[str, Purpose] = {TEST: "test", TRAIN: "train"}
OF_A_JOB = (IMAGES, CAPTIONS, TEST)
OF_TUNING = (IMAGES, CAPTIONS)

Item = TypeVar("Item")


@dataclass(frozen=True)
class ShardWork:
    """One shard to compute: of which table, and a checksum of what it is computed from."""

    table: str
    shard: str
    source: str


def pending(recipe: Recipe, store: Store, tables: Sequence[str] = OF_A_JOB) -> list[str]:
    """Return the names of the shards that are to be computed, or removed; those of images not yet painted
    included.
    """
    plan = planned(recipe, store, tables)
    waiting = images.pending(recipe, store) if IMAGES in tables else []
    # Without its images a shard of features has no place in the plan, but may be right when they are back.
    surplus = {} if waiting else _surplus(store, plan, tables)
    unjudged = agreement.pending(recipe, store) if _judges(tables) else []
    missing = unfinished(store, plan)
    return [*(work.shard for work in missing), *chain(*surplus.values()), *waiting, *unjudged]


def tuning_pending(recipe: Recipe, store: Store) -> list[str]:
    """Return the same of the shards that tuning reads; the test set is not looked at."""
    missing = unfinished(store, planned(recipe, store, OF_TUNING))
    unjudged = agreement.pending(recipe, store)
    return [*(work.shard for work in missing), *images.pending(recipe, store), *unjudged]


def run(
    recipe: Recipe, store: Store, tables: Sequence[str] = OF_A_JOB, watch: Watch = unwatched
) -> StageReport:
    """Compute the missing shards. Needs an initialised Ray, and finished images where tables are made of
    them. `watch` is told of computed shards.
    """
    start = time.monotonic()
    if IMAGES in tables and (waiting := images.pending(recipe, store)):
        raise UserError(
            f"features: {len(waiting)} shards of images are missing, {waiting[0]!r} for one",
            "run the stage images first",
        )
    plan = planned(recipe, store, tables)
    for table, names in _surplus(store, plan, tables).items():
        store.shards(table).delete(names)
    missing = unfinished(store, plan)
    computed = watched(_compute(recipe, store, missing), len(missing), "shards", watch)
    effort = _effort(computed, recipe.features.workers.max) if missing else Effort()
    notes: dict[str, float | int | str] = {"computed": int(sum(each.amount for each in effort.work.values()))}
    unjudged = agreement.pending(recipe, store) if _judges(tables) else []
    if unjudged:
        from t2ipal.tuning.judge import judge

        judge(recipe, store)
        notes["disagreeing"] = agreement.dropped(recipe, store)
    done = {table: store.shards(table).done() for table in {work.table for work in plan}}
    return StageReport(
        stage=STAGE,
        rows=sum(done[work.table][work.shard].rows for work in plan),
        shards_total=len(plan) + len(unjudged),
        shards_done_before=len(plan) - len(missing),
        seconds=time.monotonic() - start,
        notes=notes,
        effort=effort,
    )


def _effort(reports: Iterable[Mapping[str, Any]], most: int) -> Effort:
    """Return the work of the pool, by table, from what its workers tell of each shard.

    `most` is how many there are at a time; a lost one is replaced, and its successor is another.
    """
    amounts: defaultdict[str, float] = defaultdict(float)
    seconds: defaultdict[str, float] = defaultdict(float)
    workers, shards = set(), 0
    for report in reports:
        amounts[report["table"]] += report["rows"]
        seconds[report["table"]] += report["seconds"]
        workers.add(report["worker"])
        shards += 1
    work = {table: Work(amount, seconds[table]) for table, amount in amounts.items()}
    return Effort(work, min(len(workers), most), shards)


def _judges(tables: Sequence[str]) -> bool:
    """Say whether these tables are all that the agreement of images and captions is judged by."""
    return IMAGES in tables and CAPTIONS in tables


def planned(recipe: Recipe, store: Store, tables: Sequence[str] = OF_A_JOB) -> list[ShardWork]:
    """Return every shard that the finished images and captions, and the photos, call for."""
    plan = [work for work in _for_tuning(recipe, store) if work.table in tables]
    for table, purpose in PHOTOS.items():
        if table in tables:
            plan += [ShardWork(table, part.name, part.source) for part in split_photos(recipe, purpose)]
    return plan


def _for_tuning(recipe: Recipe, store: Store) -> list[ShardWork]:
    captions, painted = store.shards("captions").done(), store.shards("images").done()
    names = [shard.name for shard in planned_images(recipe, store)]
    return [
        *(ShardWork(IMAGES, name, painted[name].sha256) for name in names if name in painted),
        *(ShardWork(CAPTIONS, name, manifest.sha256) for name, manifest in captions.items()),
    ]


def unfinished(store: Store, plan: list[ShardWork]) -> list[ShardWork]:
    """Return those of the planned shards that are to be computed."""
    done = {table: store.shards(table).done() for table in {work.table for work in plan}}
    missing = Manifest(0, 0, "", "")
    return [
        work for work in plan if done[work.table].get(work.shard, missing).extra.get("source") != work.source
    ]


def _surplus(store: Store, plan: list[ShardWork], tables: Sequence[str]) -> dict[str, list[str]]:
    """Return the shards, by table, that belong to no part of what is there now."""
    wanted = {(work.table, work.shard) for work in plan}
    return {
        table: [name for name in store.shards(table).written() if (table, name) not in wanted]
        for table in tables
    }


def _compute(recipe: Recipe, store: Store, missing: list[ShardWork]) -> Iterator[dict[str, Any]]:
    """Compute shards on the pool; yield a small report of each."""
    from t2ipal.stages.ray_data import IN_HAND, actor_pool, quiet_ray_data, shards_to_do, startup_explained

    workers = recipe.features.workers
    check_model_folder(resolve(recipe.backbone.model), "backbone.model", ("open_clip_config.json",))
    with quiet_ray_data(IN_HAND, workers.labels), startup_explained("features", "the section backbone"):
        rows = shards_to_do([asdict(work) for work in missing], workers)
        computed = rows.map(
            FeatureExtractor,  # type: ignore[arg-type]  # Ray takes a class, and calls its instances
            fn_constructor_args=(recipe, store),
            compute=actor_pool(workers, len(missing)),
            num_cpus=workers.cpus,
            num_gpus=workers.gpus,
        )
        yield from computed.iter_rows()


class FeatureExtractor:
    """One backbone, which sees one shard after another; calls may come from several threads, so that one is
    written while the next is computed.
    """

    def __init__(self, recipe: Recipe, store: Store) -> None:
        from t2ipal.clip import load_backbone

        self._recipe, self._store = recipe, store
        self._opened: dict[Purpose, Dataset] = {}
        device = "cuda" if recipe.features.workers.gpus else "cpu"
        self._on_its_thread = ModelThread(device)
        self._backbone = self._on_its_thread(load_backbone, recipe.backbone, device)
        self._name, self._laps = uuid.uuid4().hex, Laps()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Compute and write the shard that the row (a ShardWork) describes; return its name, number of rows
        and seconds.
        """
        work = ShardWork(**row)
        shards = self._store.shards(work.table)
        written = shards.find(work.shard)
        # Rows of a block whose worker was lost come once more.
        if written is None or written.extra.get("source") != work.source:
            written = shards.write(work.shard, self._table(work), {"source": work.source})
        about = {"worker": self._name, "seconds": self._laps.lap()}
        return {"table": work.table, "shard": work.shard, "rows": written.rows, **about}

    def _table(self, work: ShardWork) -> "pa.Table":
        compute: dict[str, Callable[[str], pa.Table]] = {
            IMAGES: self._images,
            CAPTIONS: self._captions,
            **{table: partial(self._photos, purpose) for table, purpose in PHOTOS.items()},
        }
        table = compute[work.table](work.shard)
        if broken := not_finite(table):
            raise UserError(
                f"features: the backbone {self._recipe.backbone.model!r} gives NaN or infinite numbers for "
                f"{len(broken)} of {table.num_rows} rows of {work.table}/{work.shard}, {broken[0]!r} for one",
                "set backbone.dtype to float32, or look whether its weights are whole",
            )
        return table

    def _images(self, shard: str) -> "pa.Table":
        from PIL import Image

        from t2ipal.clip.feature_tables import image_table
        from t2ipal.clip.views import draw_view

        columns = ["image_id", "labels", "image", "kept"]
        rows = [row for row in self._store.shards("images").read(shard, columns).to_pylist() if row["kept"]]
        asked = self._recipe.features
        views = [(name, row) for row in rows for name in view_ids(row["image_id"], asked.views)]

        def view(name: str, row: dict[str, Any]) -> Image.Image:
            image = Image.open(io.BytesIO(row["image"]))
            if not is_crop(name, IMAGES):
                return image
            return draw_view(image, name, asked.least_area, self._recipe.seed)

        features = self._seen([view(*each) for each in batch] for batch in _batches(views, asked.batch))
        names, labels = [name for name, _ in views], [row["labels"] for _, row in views]
        return self._on_its_thread(image_table, names, labels, features)

    def _captions(self, shard: str) -> "pa.Table":
        from t2ipal.clip.feature_tables import caption_table

        columns = ["caption_id", "labels", "text"]
        rows = self._store.shards("captions").read(shard, columns).to_pylist()
        texts = [row["text"] for row in rows]
        batches = _batches(texts, self._recipe.features.batch)
        features = [self._on_its_thread(self._backbone.sentences, batch) for batch in batches]
        names, labels = [row["caption_id"] for row in rows], [row["labels"] for row in rows]
        return self._on_its_thread(caption_table, names, labels, features)

    def _photos(self, purpose: Purpose, shard: str) -> "pa.Table":
        from t2ipal.clip.feature_tables import evaluation_table

        dataset = self._open(purpose)
        numbers = part_numbers(shard, len(dataset))
        batches = _batches(numbers, self._recipe.features.batch)
        features = self._seen([dataset.image(i) for i in batch] for batch in batches)
        return self._on_its_thread(
            evaluation_table,
            [dataset.name(i) for i in numbers],
            [dataset.labels(i) for i in numbers],
            [dataset.ignored(i) for i in numbers],
            features,
        )

    def _seen(self, batches: "Iterable[list[Image.Image]]") -> "list[ImageFeatures]":
        """Return the features of batches of images, decoded and resized here, beside the model's thread."""
        fit = self._backbone.preprocess.fit
        return [self._on_its_thread(self._backbone.fitted, fit(batch)) for batch in batches]

    def _open(self, purpose: Purpose) -> Dataset:
        """Opened once: large ones take seconds."""
        if purpose not in self._opened:
            dataset = open_photos(self._recipe, purpose)
            if dataset is None:
                raise ValueError("the recipe has no photos")
            self._opened[purpose] = dataset
        return self._opened[purpose]


def _batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    return (items[at : at + size] for at in range(0, len(items), size))
