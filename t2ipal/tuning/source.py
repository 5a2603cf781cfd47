"""What tuning reads: the shards of features, in order, and a digest of their rows.

The digest goes into everything that is made from them, so that results of other data are noticed.
"""

import hashlib

from t2ipal.images.plan import image_shards
from t2ipal.recipe import Recipe
from t2ipal.store import Store

Origin = dict[str, str | None]


def origin(recipe: Recipe, store: Store) -> Origin:
    """Return what identifies the settings and the data of tuning; its checkpoints and its result carry it.

    `data` is None while some features are missing.
    """
    return {"fingerprint": recipe.fingerprint("tune"), "data": source_digest(recipe, store)}


def source_shards(recipe: Recipe, store: Store) -> tuple[list[str], list[str]]:
    """Return the shards of `features` and those of `caption_features` that the finished captions call for."""
    captions = store.shards("captions").done()
    images = image_shards(captions, recipe.images.per_caption, recipe.images.shard_rows)
    return [shard.name for shard in images], list(captions)


def source_digest(recipe: Recipe, store: Store) -> str | None:
    """Return a hash of all features that tuning reads; None while some are missing."""
    images, captions = source_shards(recipe, store)
    parts = [store.shards("features").digest(images), store.shards("caption_features").digest(captions)]
    return None if None in parts else short_digest(*map(str, parts))


def short_digest(*parts: str | bytes) -> str:
    """Return a hash of what something was made from, short enough to be read."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:16]
