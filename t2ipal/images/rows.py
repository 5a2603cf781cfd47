"""The rows of one shard of images: painted, painted again where nothing is to be seen, and encoded."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from t2ipal.images.codec import encode, sha256
from t2ipal.images_recipe import ImagesRecipe
from t2ipal.seeds import derive_seed

if TYPE_CHECKING:
    from PIL import Image

    from t2ipal.images.painter import Painter, Painting

Row = dict[str, Any]


@dataclass(frozen=True)
class Wanted:
    """An image to be painted: its key, and the row of its caption in the table of captions."""

    image_id: str
    caption: Row


@dataclass(frozen=True)
class Encoded:
    """The bytes of an image and its size in pixels; nothing and 0 where there is none."""

    data: bytes
    width: int
    height: int


@dataclass(frozen=True)
class Counts:
    """What became of the images of a shard."""

    redrawn: int
    """Images painted again, each time counted."""
    refused: int
    """Those in which there is still nothing to be seen."""
    failed: int
    """Those that could not be painted."""


def image_seed(recipe_seed: int, image_id: str, attempt: int) -> int:
    """Return the seed of an image's noise; attempt 0 is the first one."""
    return derive_seed(recipe_seed, image_id, *([attempt] if attempt else []))


def paint_rows(
    painter: "Painter", recipe: ImagesRecipe, seed: int, wanted: Sequence[Wanted]
) -> tuple[list[Row], Counts]:
    """Return the rows of the table `images`, in order.

    What cannot be painted is a row too, with the reason: a shard may hold one image, and is not to end the
    run. The painter raises UserError when it fails time after time.

    Encoding goes on beside the painting, so that a GPU does not wait for it; pixels of a batch are let go as
    they are encoded.
    """
    rows: dict[int, Row] = {}
    todo, redrawn = list(range(len(wanted))), 0
    with ThreadPoolExecutor(max(1, round(recipe.workers.cpus))) as pool:
        for attempt in range(recipe.redraws + 1):
            redrawn += len(todo) if attempt else 0
            seeds = [image_seed(seed, wanted[i].image_id, attempt) for i in todo]
            paintings = painter.paint([wanted[i].caption["text"] for i in todo], seeds)
            pairs = _encoded(pool, paintings, recipe, ahead=painter.batch)
            blank = []
            for i, number, (painting, encoded) in zip(todo, seeds, pairs, strict=True):
                rows[i] = _row(wanted[i], number, painting, encoded, recipe.model)
                blank += [i] if painting.blank else []
            todo = blank
    failed = sum(not row["image"] for row in rows.values())
    return [rows[i] for i in range(len(wanted))], Counts(redrawn, len(todo), failed)


def _encoded(
    pool: ThreadPoolExecutor, paintings: Iterator["Painting"], recipe: ImagesRecipe, ahead: int
) -> Iterator[tuple["Painting", Encoded]]:
    """Yield each painting with its bytes, in order, at most `ahead` of them waiting."""
    waiting: deque[tuple[Painting, Future[Encoded]]] = deque()
    for painting in paintings:
        waiting.append((painting, pool.submit(_encode, painting.image, recipe)))
        if len(waiting) > ahead:
            yield _finished(*waiting.popleft())
    while waiting:
        yield _finished(*waiting.popleft())


def _finished(painting: "Painting", future: "Future[Encoded]") -> tuple["Painting", Encoded]:
    return painting, future.result()


def _encode(image: "Image.Image | None", recipe: ImagesRecipe) -> Encoded:
    if image is None:
        return Encoded(b"", 0, 0)
    return Encoded(encode(image, recipe.format, recipe.quality), image.width, image.height)


def _row(wanted: Wanted, seed: int, painting: "Painting", encoded: Encoded, model: str) -> Row:
    reason = painting.blank or painting.failure
    return {
        "image_id": wanted.image_id,
        "caption_id": wanted.caption["caption_id"],
        "seed": seed,
        "image": encoded.data,
        "width": encoded.width,
        "height": encoded.height,
        "sha256": sha256(encoded.data),
        "labels": wanted.caption["labels"],
        "model": model,
        "kept": not reason,
        "reason": reason,
    }
