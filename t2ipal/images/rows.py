"""The rows of one shard of images: painted, painted again where nothing is to be seen, and encoded."""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from t2ipal.images.codec import encode, sha256
from t2ipal.images_recipe import ImagesRecipe
from t2ipal.seeds import derive_seed

if TYPE_CHECKING:
    from t2ipal.images.painter import Painter, Painting

Row = dict[str, Any]


@dataclass(frozen=True)
class Wanted:
    """An image to be painted: its key, and the row of its caption in the table of captions."""

    image_id: str
    caption: Row


@dataclass(frozen=True)
class Counts:
    """What became of the images of a shard."""

    redrawn: int
    """Images painted again, each time counted."""
    refused: int
    """Those in which there is still nothing to be seen."""
    failed: int
    """Those that could not be painted."""


@dataclass(frozen=True)
class Painted:
    """A painted shard, the last of whose images may still be at being encoded."""

    rows: list[Future[Row]]
    redrawn: int
    refused: int

    def finished(self) -> tuple[list[Row], Counts]:
        """Wait for the rows of the table `images`; return them in order."""
        rows = [row.result() for row in self.rows]
        return rows, Counts(self.redrawn, self.refused, failed=sum(not row["image"] for row in rows))


def image_seed(recipe_seed: int, image_id: str, attempt: int) -> int:
    """Return the seed of an image's noise; attempt 0 is the first one."""
    return derive_seed(recipe_seed, image_id, *([attempt] if attempt else []))


def paint_rows(
    painter: "Painter", recipe: ImagesRecipe, seed: int, wanted: Sequence[Wanted], pool: Executor
) -> Painted:
    """Paint a shard. Images are encoded in the pool beside the painting, the last ones after it, so that a
    GPU waits only where the pool falls behind by more than a batch.

    What cannot be painted is a row too, with the reason: a shard may hold one image, and is not to end the
    run. The painter raises UserError when it fails time after time.

    Pixels are held of the batch that is being encoded, of the next one, and where a further shard is begun
    of one more.
    """
    rows: dict[int, Future[Row]] = {}
    waiting: deque[Future[Row]] = deque()
    todo, redrawn = list(range(len(wanted))), 0
    for attempt in range(recipe.redraws + 1):
        redrawn += len(todo) if attempt else 0
        seeds = [image_seed(seed, wanted[i].image_id, attempt) for i in todo]
        paintings = painter.paint([wanted[i].caption["text"] for i in todo], seeds)
        blank = []
        for i, number, painting in zip(todo, seeds, paintings, strict=True):
            rows[i] = pool.submit(_row, wanted[i], number, painting, recipe)
            blank += [i] if painting.blank else []
            waiting.append(rows[i])
            while len(waiting) > painter.batch:
                waiting.popleft().result()
        todo = blank
    return Painted([rows[i] for i in range(len(wanted))], redrawn, len(todo))


def _row(wanted: Wanted, seed: int, painting: "Painting", recipe: ImagesRecipe) -> Row:
    image, reason = painting.image, painting.blank or painting.failure
    data = b"" if image is None else encode(image, recipe.format, recipe.quality)
    return {
        "image_id": wanted.image_id,
        "caption_id": wanted.caption["caption_id"],
        "seed": seed,
        "image": data,
        "width": 0 if image is None else image.width,
        "height": 0 if image is None else image.height,
        "sha256": sha256(data),
        "labels": wanted.caption["labels"],
        "model": recipe.model,
        "kept": not reason,
        "reason": reason,
    }
