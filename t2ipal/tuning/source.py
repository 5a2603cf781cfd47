"""What tuning reads: the shards of features, in order, and a digest of their rows.

The digest goes into everything that is made from them, so that results of other data are noticed.
"""

import hashlib

from t2ipal.images.plan import image_shards
from t2ipal.recipe import Recipe
from t2ipal.seeds import derive_seed
from t2ipal.store import Store

SYNTHETIC, LABELLED, CAPTIONS = "features", "train_features", "caption_features"  # tables


def source_shards(recipe: Recipe, run: Store, table: str) -> list[str]:
    """Return the shards of a table that tuning reads: those of the finished captions, or of the labelled
    photos.
    """
    if table == LABELLED:
        return list(run.shards(LABELLED).done())
    captions = run.shards("captions").done()
    if table == CAPTIONS:
        return list(captions)
    return [shard.name for shard in image_shards(captions, recipe.images)]


def source_digest(recipe: Recipe, run: Store, table: str) -> str | None:
    """Return a hash of all features that tuning on a table reads; None while some are missing."""
    tables = [LABELLED] if table == LABELLED else [SYNTHETIC, CAPTIONS]
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
