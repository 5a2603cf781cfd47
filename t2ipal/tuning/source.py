"""What tuning reads: the shards of features, in order, and a digest of their rows.

The digest goes into everything that is made from them, so that results of other data are noticed.
"""

import hashlib
from collections.abc import Sequence

from t2ipal.images.plan import ImageShard, image_shards
from t2ipal.recipe import Recipe
from t2ipal.seeds import derive_seed
from t2ipal.store import Store

SYNTHETIC, LABELLED, CAPTIONS = "features", "train_features", "caption_features"  # tables
AGREEMENT = "agreement"  # which synthetic images tuning leaves out (t2ipal.tuning.agreement)

_VIEW = "@"  # between an image's id and the number of a crop


def source_shards(recipe: Recipe, run: Store, table: str) -> list[str]:
    """Return the shards of a table that tuning reads: those of the finished captions, or of the labelled
    photos.
    """
    if table == LABELLED:
        return list(run.shards(LABELLED).done())
    captions = run.shards("captions").done()
    if table == CAPTIONS:
        return list(captions)
    return [shard.name for shard in planned_images(recipe, run)]


def planned_images(recipe: Recipe, run: Store) -> list[ImageShard]:
    """Return the shards of images that the finished captions call for, in order."""
    return image_shards(run.shards("captions").done(), recipe.images)


def image_keys(names: Sequence[str], table: str) -> list[str]:
    """By what each image is held out or not: a photo by itself, a synthetic image by its caption.

    The id of a synthetic image is its caption's, a dash and a number.
    """
    return list(names) if table == LABELLED else [name.rpartition("-")[0] for name in names]


def view_ids(image_id: str, views: int) -> list[str]:
    """Return the ids of the views of a synthetic image in the table of features: its own for the image
    itself, and with a number behind it for each crop.
    """
    return [image_id, *(f"{image_id}{_VIEW}{number}" for number in range(1, views))]


def image_of(view_id: str) -> str:
    """Return the id of the image of which this is a view."""
    return view_id.partition(_VIEW)[0]


def is_crop(name: str, table: str) -> bool:
    """Say whether a row of a table of features is of a part of an image."""
    return table == SYNTHETIC and _VIEW in name


def source_digest(recipe: Recipe, run: Store, table: str) -> str | None:
    """Return a hash of all that tuning on a table reads; None while some is missing."""
    if table == LABELLED:
        return _digest(recipe, run, [LABELLED])
    filtered = [] if recipe.images.agreement is None else [AGREEMENT]
    return _digest(recipe, run, [SYNTHETIC, CAPTIONS, *filtered])


def features_digest(recipe: Recipe, run: Store) -> str | None:
    """Return a hash of the features of synthetic images and captions; None while some are missing."""
    return _digest(recipe, run, [SYNTHETIC, CAPTIONS])


def _digest(recipe: Recipe, run: Store, tables: Sequence[str]) -> str | None:
    parts = [run.shards(each).digest(source_shards(recipe, run, each)) for each in tables]
    return None if None in parts else short_digest(*map(str, parts))


def is_held_out(key: str, recipe: Recipe) -> bool:
    """Say whether a caption with its images, or a photo, is kept from tuning. The same for all methods and
    seeds of tuning, so that they are compared on the same images.
    """
    return derive_seed(recipe.seed, "holdout", key) < recipe.tune.holdout * 2**63


def short_digest(*parts: str | bytes) -> str:
    """Return a hash of what something was made from, short enough to be read."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:16]
