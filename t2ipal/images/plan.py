"""Which images belong to which shard.

Images are numbered within their caption shard: image n shows caption n // per_caption, and is its sample n %
per_caption. A caption shard becomes as many image shards as its accepted captions fill, so the plan follows
from the caption manifests alone and no shard of one stage waits for two of another.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

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


def image_shards(captions: Mapping[str, Manifest], per_caption: int, shard_rows: int) -> list[ImageShard]:
    """Return the image shards of the finished caption shards, in the order of their names."""
    shards = []
    for captions_name, manifest in sorted(captions.items()):
        images = manifest.rows * per_caption
        number = captions_name.removeprefix("captions-")
        # A caption shard without one accepted caption still gets its (empty) image shard: nothing is left out
        # silently.
        for part, start in enumerate(range(0, max(images, 1), shard_rows)):
            stop = min(start + shard_rows, images)
            shards.append(
                ImageShard(f"images-{number}-{part:03d}", captions_name, manifest.sha256, start, stop)
            )
    return shards


def unfinished(planned: list[ImageShard], done: Mapping[str, Manifest]) -> list[ImageShard]:
    """Return the planned shards that are not done, or were made from captions that have since changed."""
    # A manifest says more than what its shard was made from.
    return [
        shard
        for shard in planned
        if shard.name not in done or not shard.extra.items() <= done[shard.name].extra.items()
    ]


def surplus(planned: list[ImageShard], written: Iterable[str]) -> list[str]:
    """Return the shards that are written but not planned, though their captions are: those were more."""
    names, known = {shard.name for shard in planned}, {_captions_of(shard.name) for shard in planned}
    return [name for name in written if name not in names and _captions_of(name) in known]


def _captions_of(name: str) -> str:
    return name.rpartition("-")[0]
