"""What is left to do of each stage: rows, shards, and the work that its rate counts.

What a stage before has not made yet is counted as far as the recipe tells.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from jobs.planning.needs import phases
from t2ipal.captions.annotated import choose
from t2ipal.captions.plan import CaptionPlan
from t2ipal.captions_recipe import AnnotatedCaptionsRecipe, CaptionsRecipe
from t2ipal.evaluation.shards import SHARD_ROWS, open_photos
from t2ipal.images.plan import ImageShard, image_shards, unfinished
from t2ipal.recipe import Recipe
from t2ipal.shard_names import photos_shard
from t2ipal.shards import Manifest
from t2ipal.stages import annotated_captions, bundle, captions, evaluate, features, images, page, tune
from t2ipal.store import Store
from t2ipal.vocabulary import Vocabulary


@dataclass(frozen=True)
class Todo:
    """What is left of one stage; no shards: nothing."""

    rows: int = 0
    shards: int = 0
    amounts: Mapping[str, float] = field(default_factory=dict)
    """Of each kind of work, as in `t2ipal.stages.effort`."""
    whole_shards: bool = False
    """Whether a shard is one worker's, so that no more workers than shards have something to do."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Remaining:
    """The work that is left in a run. `kept` is the share of the planned captions that former runs kept;
    None: not known.
    """

    recipe: Recipe
    store: Store
    kept: float | None

    def of(self, stage: str) -> Todo:
        """Return what is left of a stage of files, of which something is."""
        left: dict[str, Callable[[], Todo]] = {
            captions.STAGE: self._captions,
            images.STAGE: self._images,
            features.STAGE: self._features,
            tune.STAGE: self._tune,
            evaluate.STAGE: self._evaluate,
            bundle.STAGE: self._bundle,
            page.STAGE: lambda: Todo(1, 1),
        }
        return left.get(stage, lambda: Todo(shards=1))()

    @cached_property
    def _missing_captions(self) -> list[str]:
        return captions.pending(self.recipe, self.store)

    @cached_property
    def _chosen(self) -> int:
        """Captions that a file holds for the recipe; reading it takes as long as in a job."""
        source = self.recipe.caption_source
        if not isinstance(source, AnnotatedCaptionsRecipe):
            raise ValueError("captions from a language model are planned")
        return len(choose(source, Vocabulary.load(self.recipe.vocabulary), self.recipe.seed).captions)

    @property
    def _kept(self) -> float:
        """Share of the planned captions that is expected: as in the shards that are there."""
        extras = [manifest.extra for manifest in self.store.shards(captions.STAGE).done().values()]
        asked = sum(extra.get("asked", 0) for extra in extras)
        if asked:
            return float(sum(extra.get("kept", 0) for extra in extras) / asked)
        return 1.0 if self.kept is None else self.kept

    @cached_property
    def _expected(self) -> dict[str, Manifest]:
        """All shards of captions: the finished ones, and in place of the others what they will be like."""
        done = self.store.shards(captions.STAGE).done()
        if not self._missing_captions:
            return done
        if self.recipe.captions is not None:
            plan = CaptionPlan.of(self.recipe)
            rows = {name: round(len(plan.rows(name)) * self._kept) for name in plan.shards()}
        else:
            size = self.recipe.caption_source.shard_rows
            starts = range(0, self._chosen, size)
            names = annotated_captions.names(len(starts))
            rows = {name: min(size, self._chosen - at) for name, at in zip(names, starts, strict=True)}
        return {name: done.get(name) or Manifest(count, 0, "", "") for name, count in rows.items()}

    @cached_property
    def _image_plan(self) -> list[ImageShard]:
        return image_shards(self._expected, self.recipe.images)

    def _captions(self) -> Todo:
        if not self._missing_captions:
            return Todo()
        source = self.recipe.caption_source
        if not isinstance(source, CaptionsRecipe):
            size = Path(source.path).stat().st_size
            shards = len(self._expected) - len(self.store.shards(captions.STAGE).done())
            return Todo(self._chosen, shards, {annotated_captions.BYTES: size})
        plan = CaptionPlan.of(self.recipe)
        rows = sum(len(plan.rows(name)) for name in self._missing_captions)
        # A caption without an accepted answer is asked for again.
        once = 1.0 - (1.0 - self._kept) ** (1 / source.attempts)
        asked = sum(rows * (1.0 - once) ** attempt for attempt in range(source.attempts))
        unknown = "how many captions are kept is not known: counted as if all are"
        notes = () if self.kept is not None or self._kept != 1.0 else (unknown,)
        amounts = {captions.ANSWERS: asked * source.candidates}
        return Todo(rows, len(self._missing_captions), amounts, notes=notes)

    def _images(self) -> Todo:
        missing = unfinished(self._image_plan, self.store.shards(images.STAGE).done())
        rows = sum(shard.stop - shard.start for shard in missing)
        return Todo(rows, len(missing), {images.STAGE: rows}, whole_shards=True)

    def _features(self) -> Todo:
        known = features.planned(self.recipe, self.store)
        computed = {(work.table, work.shard) for work in known}
        computed -= {(work.table, work.shard) for work in features.unfinished(self.store, known)}
        shards = [
            *((features.IMAGES, shard.name, self._views(shard)) for shard in self._image_plan),
            *((features.CAPTIONS, name, manifest.rows) for name, manifest in self._expected.items()),
            *((features.TEST, name, rows) for name, rows in self._photos.items()),
        ]
        left = [(table, rows) for table, name, rows in shards if (table, name) not in computed]
        amounts = {
            each: float(sum(rows for table, rows in left if table == each)) for each in features.OF_A_JOB
        }
        amounts = {table: amount for table, amount in amounts.items() if amount}
        return Todo(int(sum(amounts.values())), len(left), amounts, whole_shards=True)

    def _views(self, shard: ImageShard) -> int:
        return (shard.stop - shard.start) * self.recipe.features.views

    @cached_property
    def _photos(self) -> dict[str, int]:
        """Photos of the test set by shard."""
        dataset = open_photos(self.recipe, "test")
        count = 0 if dataset is None else len(dataset)
        starts = range(0, count, SHARD_ROWS)
        return {photos_shard("test", i): min(SHARD_ROWS, count - at) for i, at in enumerate(starts)}

    def _tune(self) -> Todo:
        if not tune.pending(self.recipe, self.store):
            return Todo()
        tuned = 1.0 - self.recipe.tune.holdout
        classes = len(Vocabulary.load(self.recipe.vocabulary))
        painted = sum(self._views(shard) for shard in self._image_plan)
        if (most := self.recipe.tune.images_per_class) is not None:
            painted = min(painted, most * classes)
        written = sum(manifest.rows for manifest in self._expected.values())
        rows = {"images": painted * tuned, "captions": written * tuned}
        amounts = {
            phase.name: (rows[phase.rows] + phase.templates * classes) * phase.schedule.epochs
            for phase in phases(self.recipe)
        }
        learns = "images" if any(phase.rows == "images" for phase in phases(self.recipe)) else "captions"
        return Todo(round(rows[learns]), 1, amounts)

    def _evaluate(self) -> Todo:
        if not evaluate.pending(self.recipe, self.store):
            return Todo()
        count = sum(self._photos.values())
        return Todo(count, 1, {evaluate.SCORED: count * len(evaluate.methods(self.recipe))})

    def _bundle(self) -> Todo:
        if not bundle.pending(self.recipe, self.store):
            return Todo()
        return Todo(len(Vocabulary.load(self.recipe.vocabulary)), 1)
