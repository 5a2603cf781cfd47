"""Which images belong to which shard.

Images are numbered within their caption shard: image n shows caption n // per_caption, and is its sample n %
per_caption. A caption shard becomes as many image shards as its accepted captions fill, so the plan follows
from the caption manifests alone: from its own, and where not all captions are painted from those before it.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from t2ipal.images_recipe import ImagesRecipe
from t2ipal.shard_names import captions_of, images_shard
from t2ipal.shards import Manifest


@dataclass(frozen=True)
class ImageShard:
    """Images `start` to `stop` (excluded) of one caption shard."""

    name: str
    captions: str
    """Name of the caption shard."""
    captions_sha256: str
    """Its checksum: images made before the captions were written again, differently, are not of this plan."""
    start: int
    stop: int

    @property
    def extra(self) -> dict[str, str]:
        """What the manifest of the finished shard says about its source."""
        return {"captions": self.captions, "captions_sha256": self.captions_sha256}


def image_shards(captions: Mapping[str, Manifest], recipe: ImagesRecipe) -> list[ImageShard]:
    """Return the image shards of the finished caption shards, in the order of their names.

    With `recipe.captions` only that many captions are painted, the first ones.
    """
    shards: list[ImageShard] = []
    before = 0  # captions of earlier shards
    for captions_name, manifest in sorted(captions.items()):
        if recipe.captions is not None and before >= recipe.captions:
            break
        after = before + manifest.rows
        last = after if recipe.captions is None else min(after, recipe.captions)
        images = (last - before) * recipe.per_caption
        before = after
        # A caption shard without one accepted caption still gets its (empty) image shard: nothing is left out
        # silently.
        for part, start in enumerate(range(0, max(images, 1), recipe.shard_rows)):
            stop = min(start + recipe.shard_rows, images)
            name = images_shard(captions_name, part)
            shards.append(ImageShard(name, captions_name, manifest.sha256, start, stop))
    return shards


def unfinished(planned: list[ImageShard], done: Mapping[str, Manifest]) -> list[ImageShard]:
    """Return the planned shards that are not done, or were made from captions that have since changed, or
    from fewer or more of them.
    """
    nothing = Manifest(0, 0, "", "")
    # A manifest says more than what its shard was made from.
    return [
        shard
        for shard in planned
        if not shard.extra.items() <= (found := done.get(shard.name, nothing)).extra.items()
        or found.rows != shard.stop - shard.start
    ]


def surplus(planned: list[ImageShard], written: Iterable[str], captions: Collection[str]) -> list[str]:
    """Return the shards that are written but not planned, though their `captions` are finished: those were
    others, or more.
    """
    names = {shard.name for shard in planned}
    return [name for name in written if name not in names and captions_of(name) in captions]
