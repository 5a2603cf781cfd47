"""Verdicts on the agreement of images and captions (t2ipal.tuning.agreement).

Shapes: N images, C classes, D embedding width; features are L2-normalised.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from t2ipal.clip import load_backbone
from t2ipal.clip.feature_tables import read_labels, read_whole
from t2ipal.errors import UserError
from t2ipal.images.plan import ImageShard
from t2ipal.images_recipe import AgreementRecipe
from t2ipal.methods.prompts import Sentences
from t2ipal.recipe import Recipe
from t2ipal.store import Store
from t2ipal.tables import AGREEMENT as SCHEMA
from t2ipal.tuning.agreement import judged_from, pending
from t2ipal.tuning.source import (
    AGREEMENT,
    CAPTIONS,
    SYNTHETIC,
    image_keys,
    planned_images,
)
from t2ipal.vocabulary import Vocabulary


@dataclass(frozen=True)
class Measured:
    """What CLIP says of the images of a shard."""

    similarity: NDArray[np.float32]  # [N] to their captions
    rank: NDArray[np.int32] | None  # [N], where it is asked for


def judge(recipe: Recipe, run: Store) -> None:
    """Write the missing verdicts. Needs finished features; holds a few numbers an image, and one shard.

    Raises UserError when no image is kept.
    """
    asked, missing = recipe.images.agreement, pending(recipe, run)
    if asked is None or not missing:
        return
    plan = planned_images(recipe, run)
    measured = list(_measured(run, plan, _class_features(recipe) if asked.top else None))
    least = _least(np.concatenate([each.similarity for each in measured]), asked.lowest)
    reasons = [_reasons(each, asked, least) for each in measured]
    images = sum(map(len, reasons))
    if images and all(reason for shard in reasons for reason in shard):
        raise UserError(
            f"images.agreement leaves none of the {images} images of the run",
            "raise images.agreement.top, lower images.agreement.lowest, or leave the section out",
        )
    source, verdicts = judged_from(recipe, run), run.shards(AGREEMENT)
    verdicts.delete(set(verdicts.written()) - {shard.name for shard in plan})
    for shard, each, why in zip(plan, measured, reasons, strict=True):
        if shard.name in missing:
            table = _table(_ids(run, shard), each, why)
            extra = {"source": source, "dropped": sum(map(bool, why))}
            verdicts.write(shard.name, table, extra)


def similarities(images: Tensor, captions: Tensor) -> Tensor:
    """Cosine similarity [N] of each image [N, D] to its own caption [N, D]."""
    return (images * captions).sum(dim=1)


def ranks(images: Tensor, classes: Tensor, named: Tensor) -> Tensor:
    """Rank [N] of the class that the image [N, D] shows least among those that its caption names ([N, C]
    bool): 1, and the number of other classes [C, D] to which the image is more similar.

    Classes that the caption names do not stand in each other's way. It is 1 where the caption names none.
    """
    scores = images @ classes.T
    worst = scores.masked_fill(~named, torch.inf).amin(dim=1, keepdim=True)
    return 1 + ((scores > worst) & ~named).sum(dim=1)


def _class_features(recipe: Recipe) -> Tensor:
    """Features [C, D] of the classes in the plain template."""
    template, classes = recipe.methods.zero_shot.template, Vocabulary.load(recipe.vocabulary).names
    return Sentences(load_backbone(recipe.backbone), classes, [template]).features


def _measured(run: Store, plan: Sequence[ImageShard], classes: Tensor | None) -> Iterator[Measured]:
    """Yield what there is to say of each shard, in order."""
    for name, shards in groupby(plan, key=attrgetter("captions")):
        rows = run.shards(CAPTIONS).read(name, ["caption_id", "global"])
        place = {key: i for i, key in enumerate(rows["caption_id"].to_pylist())}
        captions = read_whole(rows).float() if place else torch.empty(0)
        for shard in shards:
            yield _measure(run, shard, place, captions, classes)


def _measure(
    run: Store, shard: ImageShard, place: Mapping[str, int], captions: Tensor, classes: Tensor | None
) -> Measured:
    rows = run.shards(SYNTHETIC).read(shard.name, ["image_id", "labels", "global"])
    if not rows.num_rows:
        return Measured(np.empty(0, np.float32), None if classes is None else np.empty(0, np.int32))
    images = read_whole(rows).float()
    its_own = [place[key] for key in image_keys(rows["image_id"].to_pylist(), SYNTHETIC)]
    found = similarities(images, captions[its_own]).numpy()
    if classes is None:
        return Measured(found, None)
    named = read_labels(rows, len(classes))
    return Measured(found, ranks(images, classes, named).numpy().astype(np.int32))


def _least(similarity: NDArray[np.float32], lowest: float) -> float:
    """The similarity below which a share of all lies; of equal ones none is dropped for another's sake."""
    if not len(similarity):
        return -np.inf
    count = int(lowest * len(similarity))
    return float(np.partition(similarity, count)[count])


def _reasons(measured: Measured, asked: AgreementRecipe, least: float) -> list[str]:
    """Why each image is dropped; empty where it is kept."""
    reasons = []
    for i, value in enumerate(measured.similarity):
        reason = ""
        if value < least:
            reason = f"similarity to its caption is among the lowest {100 * asked.lowest:g} %"
        elif asked.top is not None and measured.rank is not None and measured.rank[i] > asked.top:
            reason = f"a class that its caption names has rank {measured.rank[i]}"
        reasons.append(reason)
    return reasons


def _ids(run: Store, shard: ImageShard) -> pa.ChunkedArray:
    return run.shards(SYNTHETIC).read(shard.name, ["image_id"])["image_id"]


def _table(ids: pa.ChunkedArray, measured: Measured, reasons: Sequence[str]) -> pa.Table:
    rank = pa.nulls(len(reasons), pa.int32()) if measured.rank is None else pa.array(measured.rank)
    kept = [not reason for reason in reasons]
    return pa.table([ids, pa.array(measured.similarity), rank, kept, list(reasons)], schema=SCHEMA)
