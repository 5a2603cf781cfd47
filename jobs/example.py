"""The image about which a job asks its endpoint."""

import io
from dataclasses import dataclass

from PIL import Image

from t2ipal.errors import UserError
from t2ipal.evaluation.shards import open_photos
from t2ipal.recipe import Recipe
from t2ipal.store import Store


@dataclass(frozen=True)
class Example:
    """An image, its name, and the classes that it shows as far as is known."""

    name: str
    image: Image.Image
    labels: tuple[int, ...]


def example(recipe: Recipe, store: Store) -> Example:
    """Return the first image of the test set; without one, the first painted image of the run."""
    dataset = open_photos(recipe, "test")
    if dataset is not None:
        return Example(dataset.name(0), dataset.image(0), dataset.labels(0))
    shards = store.shards("images")
    for name in shards.done():
        rows = shards.read(name, ["image_id", "image", "labels", "kept"])
        for row in rows.to_pylist():
            if row["kept"]:
                image = Image.open(io.BytesIO(row["image"])).convert("RGB")
                return Example(row["image_id"], image, tuple(row["labels"]))
    raise UserError("there is no image to ask the endpoint about", "run the stage images first")
