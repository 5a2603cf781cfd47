"""Images in which the frozen CLIP does not see what their captions name: which they are, and whether that is
known yet. Tuning leaves them out where the recipe asks for that (`images.agreement`).

Verdicts are a small table of their own, a row per image with features, and a function of the tables of
features alone: the share of the least similar images is one of the whole run, so that it depends on no shard
and on no order, and another share needs no image painted or encoded again. `t2ipal.tuning.judge` makes them.
"""

from t2ipal.recipe import Recipe
from t2ipal.store import Store
from t2ipal.tuning.source import AGREEMENT, SYNTHETIC, features_digest, planned_images, short_digest


def pending(recipe: Recipe, run: Store) -> list[str]:
    """Return the shards without a verdict on their features as they are now; none while some are missing."""
    source = judged_from(recipe, run)
    if source is None:
        return []
    done = run.shards(AGREEMENT).done()
    names = [shard.name for shard in planned_images(recipe, run)]
    return [name for name in names if name not in done or done[name].extra.get("source") != source]


def dropped(recipe: Recipe, run: Store) -> int:
    """Return the number of images of a judged run that are left out."""
    done = run.shards(AGREEMENT).done()
    return sum(done[shard.name].extra["dropped"] for shard in planned_images(recipe, run))


def left_out(recipe: Recipe, run: Store, table: str) -> frozenset[str]:
    """Return the ids of the images of a table of features that tuning passes over; none of photos."""
    if recipe.images.agreement is None or table != SYNTHETIC:
        return frozenset()
    shards, columns = run.shards(AGREEMENT), ["image_id", "kept"]
    tables = (shards.read(shard.name, columns) for shard in planned_images(recipe, run))
    return frozenset(row["image_id"] for rows in tables for row in rows.to_pylist() if not row["kept"])


def judged_from(recipe: Recipe, run: Store) -> str | None:
    """Return what identifies the features and the settings that verdicts follow from; None without a filter,
    or while features are missing.
    """
    asked = recipe.images.agreement
    if asked is None or (digest := features_digest(recipe, run)) is None:
        return None
    return short_digest(digest, asked.model_dump_json(), recipe.methods.zero_shot.template)
