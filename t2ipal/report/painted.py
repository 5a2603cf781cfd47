"""Some of the synthetic images of each class, kept and rejected."""

import io
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from PIL import Image

from t2ipal.images.plan import ImageShard
from t2ipal.recipe import Recipe
from t2ipal.report.content import Painted, PaintedClass, Synthetic
from t2ipal.report.texts import spread_over
from t2ipal.report.thumbnails import thumbnail
from t2ipal.store import Store
from t2ipal.tuning import agreement
from t2ipal.tuning.source import AGREEMENT, planned_images
from t2ipal.vocabulary import Vocabulary

PICTURES = 480  # on the page, at most: some 2 MB
MOST_KEPT, MOST_REJECTED = 8, 4  # of a class
MOST_SHARDS = 8  # that are read
SIDE = 96  # pixels

Row = Mapping[str, Any]


def synthetic_of(recipe: Recipe, store: Store) -> Synthetic | None:
    """Return what there is to say of the images that are there; None while there are none."""
    done = store.shards("images").done()
    planned = [shard for shard in planned_images(recipe, store) if shard.name in done]
    if not planned:
        return None
    manifests = [done[shard.name] for shard in planned]
    names = Vocabulary.load(recipe.vocabulary).names
    judged = recipe.images.agreement is not None and not agreement.pending(recipe, store)
    return Synthetic(
        images=sum(each.rows for each in manifests),
        not_painted=sum(each.extra.get(why, 0) for each in manifests for why in ("refused", "failed")),
        left_out=agreement.dropped(recipe, store) if judged else 0,
        classes=tuple(_classes(recipe, store, planned, names)),
    )


def _classes(
    recipe: Recipe, store: Store, planned: Sequence[ImageShard], names: Sequence[str]
) -> Iterator[PaintedClass]:
    most = max(1, min(MOST_KEPT + MOST_REJECTED, PICTURES // len(names)))
    rejected = min(MOST_REJECTED, most // 3)
    rows = _chosen(recipe, store, planned, {False: most - rejected, True: rejected})
    for label in sorted(rows)[:PICTURES]:
        yield PaintedClass(names[label], tuple(_painted(row) for row in rows[label]))


def _chosen(
    recipe: Recipe, store: Store, planned: Sequence[ImageShard], most: Mapping[bool, int]
) -> dict[int, list[Row]]:
    """Rows by class, of a caption one, those that are kept first. `most` says how many of those rejected
    (True) or not.
    """
    found: dict[tuple[int, bool], list[Row]] = defaultdict(list)
    by_name = {shard.name: shard for shard in planned}
    for name in spread_over(list(by_name), MOST_SHARDS):
        for row in _rows(recipe, store, by_name[name]):
            is_rejected = bool(row["reason"])
            for label in row["labels"]:
                rows = found[label, is_rejected]
                is_new = all(row["caption_id"] != each["caption_id"] for each in rows)
                if is_new and len(rows) < most[is_rejected]:
                    rows.append(row)
    labels = {label for (label, _), rows in found.items() if rows}
    return {label: found[label, False] + found[label, True] for label in labels}


def _rows(recipe: Recipe, store: Store, shard: ImageShard) -> Iterator[Row]:
    captions = store.shards("captions").read(shard.captions, ["caption_id", "text"]).to_pylist()
    text = {row["caption_id"]: row["text"] for row in captions}
    unlike = _unlike(recipe, store, shard.name)
    columns = ["image_id", "caption_id", "image", "labels", "reason"]
    table = store.shards("images").read(shard.name, columns)
    for batch in table.to_batches(max_chunksize=16):  # Python's copy of a whole shard would be as large again
        for row in batch.to_pylist():
            reason = row["reason"] or unlike.get(row["image_id"], "")
            yield row | {"text": text[row["caption_id"]], "reason": reason}


def _unlike(recipe: Recipe, store: Store, name: str) -> dict[str, str]:
    """Why tuning leaves images of a shard out, by id."""
    verdicts = store.shards(AGREEMENT)
    if recipe.images.agreement is None or verdicts.find(name) is None:
        return {}
    rows = verdicts.read(name, ["image_id", "reason"]).to_pylist()
    return {row["image_id"]: row["reason"] for row in rows}


def _painted(row: Row) -> Painted:
    if not row["image"]:
        return Painted(None, row["text"], row["reason"])
    state = f"rejected: {row['reason']}" if row["reason"] else "kept"
    with Image.open(io.BytesIO(row["image"])) as image:
        picture = thumbnail(image, SIDE, f"Synthetic image of “{row['text']}”, {state}")
    return Painted(picture, row["text"], row["reason"])
