"""Which shards the tables of a run are to have: what the recipe and the tables before them call for."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from t2ipal.captions.annotated import caption_seed
from t2ipal.captions.collect import answer_seed
from t2ipal.captions.plan import CaptionPlan
from t2ipal.captions.prior import stored_prior
from t2ipal.captions_recipe import CaptionsRecipe
from t2ipal.errors import StoreError, UserError
from t2ipal.evaluation.shards import open_photos, part_numbers
from t2ipal.images.plan import image_shards
from t2ipal.recipe import Recipe
from t2ipal.run_files import CAPTION_DRAFTS, CAPTION_PRIOR, METRICS
from t2ipal.shards import Shards
from t2ipal.stages import annotated_captions, captions, evaluate, features, images
from t2ipal.store import Store
from t2ipal.tuning.agreement import judged_from
from t2ipal.tuning.source import AGREEMENT, planned_images
from t2ipal.verification import rows
from t2ipal.verification.shard import Planned
from t2ipal.vocabulary import Vocabulary

# The tables of a run, each after those that it is made from.
READS: dict[str, tuple[str, ...]] = {
    captions.STAGE: (),
    CAPTION_DRAFTS: (),
    images.STAGE: (captions.STAGE,),
    features.IMAGES: (images.STAGE, captions.STAGE),
    features.CAPTIONS: (captions.STAGE,),
    AGREEMENT: (features.IMAGES, features.CAPTIONS),
    features.TEST: (),
    features.TRAIN: (),
    evaluate.TABLE: (features.TEST,),
}


@dataclass(frozen=True)
class TablePlan:
    """The shards of a table, as far as they are known. If not all are, `unknown` says why, and what else
    there is may be right.
    """

    shards: list[Planned]
    unknown: str = ""


def shards_of(table: str, store: Store) -> Shards:
    """Return a table's handle."""
    if table == CAPTION_DRAFTS:
        return replace(store.shards(captions.STAGE), stage=CAPTION_DRAFTS)
    return store.shards(table)


def is_begun(table: str, recipe: Recipe, store: Store) -> bool:
    """Say whether there is something of a table that is to be right.

    Drafts are, for as long as captions are to be made from them, and verdicts while the recipe asks for them.
    What is left of either later means nothing. Predictions are where there are figures.
    """
    if table == AGREEMENT and recipe.images.agreement is None:
        return False
    if table == CAPTION_DRAFTS and not captions.pending(recipe, store):
        return False
    if table == evaluate.TABLE and store.exists(METRICS):
        return True
    return bool(store.shards(table).written())


def plan_of(table: str, recipe: Recipe, store: Store) -> TablePlan:
    """Return what a table is to hold."""
    plans: dict[str, Callable[[Recipe, Store], TablePlan]] = {
        captions.STAGE: _captions,
        CAPTION_DRAFTS: _drafts,
        images.STAGE: _images,
        features.IMAGES: _image_features,
        features.CAPTIONS: _caption_features,
        AGREEMENT: _agreement,
        features.TEST: partial(_photo_features, table),
        features.TRAIN: partial(_photo_features, table),
        evaluate.TABLE: _predictions,
    }
    return plans[table](recipe, store)


def _captions(recipe: Recipe, store: Store) -> TablePlan:
    if recipe.captions is None:
        return _annotated_captions(recipe, store)
    prior, unknown = None, ""
    if recipe.captions.prior is not None:
        try:
            prior = stored_prior(Vocabulary.load(recipe.vocabulary), store)
        except FileNotFoundError:
            unknown = f"{CAPTION_PRIOR} is not there"
        except StoreError:
            raise
        except UserError as error:
            unknown = error.problem
    plan = CaptionPlan.of(recipe, prior)
    seeds = partial(_answer_seeds, recipe.captions, recipe.seed)
    classes = None if unknown else plan.classes
    shards = [
        Planned(name, {}, partial(rows.captions, plan.rows(name), seeds, classes)) for name in plan.shards()
    ]
    return TablePlan(shards, unknown)


def _drafts(recipe: Recipe, store: Store) -> TablePlan:
    """Any of the captions' shards may be a draft first, and none needs to be."""
    there = set(store.shards(CAPTION_DRAFTS).written())
    return TablePlan([shard for shard in _captions(recipe, store).shards if shard.name in there])


def _answer_seeds(captions: CaptionsRecipe, seed: int, index: int) -> set[int]:
    """Return the seeds of all answers that may have become a caption."""
    return {
        answer_seed(seed, index, candidate) for candidate in range(captions.attempts * captions.candidates)
    }


def _annotated_captions(recipe: Recipe, store: Store) -> TablePlan:
    """Which of the file's sentences were taken, and how many, only reading it anew would tell."""
    shards = store.shards(captions.STAGE)
    names = sorted({*shards.done(), *annotated_captions.pending(shards)})

    def seeds(number: int) -> set[int]:
        return {caption_seed(recipe.seed, number)}

    problem = rows.Sentences(seeds, Vocabulary.load(recipe.vocabulary))
    return TablePlan([Planned(name, {}, problem) for name in names])


def _images(recipe: Recipe, store: Store) -> TablePlan:
    written = store.shards(captions.STAGE)
    planned = image_shards(written.done(), recipe.images)
    return TablePlan(
        [
            Planned(shard.name, shard.extra, partial(rows.images, written, shard, recipe.images, recipe.seed))
            for shard in planned
        ],
        _incomplete(captions.STAGE, captions.pending(recipe, store)),
    )


def _image_features(recipe: Recipe, store: Store) -> TablePlan:
    painted, views = store.shards(images.STAGE), recipe.features.views
    return TablePlan(
        [
            Planned(
                work.shard,
                {"source": work.source},
                partial(rows.image_features, painted, work.shard, views),
            )
            for work in features.planned(recipe, store, (features.IMAGES,))
        ],
        _incomplete(images.STAGE, images.pending(recipe, store)),
    )


def _caption_features(recipe: Recipe, store: Store) -> TablePlan:
    written = store.shards(captions.STAGE)
    return TablePlan(
        [
            Planned(work.shard, {"source": work.source}, partial(rows.caption_features, written, work.shard))
            for work in features.planned(recipe, store, (features.CAPTIONS,))
        ],
        _incomplete(captions.STAGE, captions.pending(recipe, store)),
    )


def _agreement(recipe: Recipe, store: Store) -> TablePlan:
    source = judged_from(recipe, store)
    # A verdict follows from all captions and images.
    waiting = [features.pending(recipe, store, (table,)) for table in (features.IMAGES, features.CAPTIONS)]
    if source is None or captions.pending(recipe, store) or any(waiting):
        return TablePlan([], "the tables of features are not complete")
    encoded = store.shards(features.IMAGES)
    return TablePlan(
        [
            Planned(shard.name, {"source": source}, partial(rows.verdicts, encoded, shard.name))
            for shard in planned_images(recipe, store)
        ]
    )


def _photo_features(table: str, recipe: Recipe, store: Store) -> TablePlan:
    try:
        dataset = open_photos(recipe, features.PHOTOS[table])
        planned = features.planned(recipe, store, (table,))
    except StoreError:
        raise
    except UserError as error:  # the photos need not be where the run is looked at
        return TablePlan([], error.problem)
    if dataset is None:
        return TablePlan([])
    name, count = dataset.name, len(dataset)
    return TablePlan(
        [
            Planned(
                work.shard,
                {"source": work.source},
                partial(rows.photo_features, [name(i) for i in part_numbers(work.shard, count)]),
            )
            for work in planned
        ]
    )


def _predictions(recipe: Recipe, store: Store) -> TablePlan:
    names = evaluate.methods(recipe)
    try:
        origin = evaluate.made_from(recipe, store)
    except FileNotFoundError:
        return TablePlan([Planned(name) for name in names], "nothing is tuned")
    done, tested = store.shards(evaluate.TABLE).done(), store.shards(features.TEST)
    silent = {name for name, manifest in done.items() if not evaluate.tells_its_origin(manifest)}
    problem = partial(rows.predictions, tested, list(tested.done()))
    return TablePlan([Planned(name, {} if name in silent else origin, problem) for name in names])


def _incomplete(table: str, pending: list[str]) -> str:
    return f"the table {table} is not complete" if pending else ""
