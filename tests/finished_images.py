"""A run whose captions and images are done, with a tiny random backbone, for tests of what comes after."""

from collections.abc import Sequence
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from t2ipal.captions.plan import CaptionPlan
from t2ipal.images.plan import image_shards
from t2ipal.recipe import Recipe
from t2ipal.stages import bundle, evaluate, features, tune
from t2ipal.store import Store
from t2ipal.tables import CAPTIONS, IMAGES
from tests.recipes import tiny_recipe
from tests.tiny_clip import tiny_folder
from tests.tuning.tiny_set import tiny_settings

NAMES = ("fish", "house", "tree")
COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255))


def picture(labels: list[int], seed: int) -> Image.Image:
    """Noise with a bar of each class's colour."""
    pixels = np.random.default_rng(seed).integers(0, 60, (32, 32, 3), dtype=np.uint8)
    for label in labels:
        pixels[:, 10 * label : 10 * label + 10] = COLOURS[label]
    return Image.fromarray(pixels)


def write_dataset(folder: Path, count: int = 12) -> None:
    """Labelled photos: a folder of pictures with their labels in test.csv and train.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, prefix, seed in (("test", "", 1000), ("train", "t", 2000)):
        lines = ["image,labels"]
        for i in range(count):
            labels = [c for c in range(3) if i >> c & 1]
            picture(labels, seed + i).save(folder / f"{prefix}{i}.png")
            lines.append(f"{prefix}{i}.png,{';'.join(NAMES[c] for c in labels)}")
        (folder / f"{split}.csv").write_text("\n".join(lines))


def finished_images(folder: Path, **sections: dict[str, Any]) -> tuple[Recipe, Store]:
    """A claimed run folder with all its captions and images, and a test set beside it."""
    write_dataset(folder / "data")
    methods = tiny_settings(epochs=3, **sections.pop("methods", {}))
    recipe = tiny_recipe(
        captions={"count": 24, "classes_per_caption": [1, 2], "shard_rows": 10},
        images={"per_caption": 2, "shard_rows": 8} | sections.pop("images", {}),
        backbone={"model": tiny_folder("resnet")},
        methods=methods.model_dump(mode="json"),
        tune={"workers": 0, "holdout": 0.25} | sections.pop("tune", {}),
        evaluate={"dataset": str(folder / "data"), "split": "test"} | sections.pop("evaluate", {}),
        **sections,
    )
    store = Store.open(str(folder / "run"))
    store.claim(recipe)
    _write(recipe, store)
    return recipe, store


def _write(recipe: Recipe, store: Store) -> None:
    plan = CaptionPlan.of(recipe)
    for shard in plan.shards():
        rows = [_caption(row, sorted(plan.classes(row))) for row in plan.rows(shard)]
        store.shards("captions").write(shard, pa.Table.from_pylist(rows, schema=CAPTIONS))
    for shard in image_shards(store.shards("captions").done(), recipe.images):
        captions = store.shards("captions").read(shard.captions).to_pylist()
        rows = [_image(captions[n // 2], n % 2) for n in range(shard.start, shard.stop)]
        store.shards("images").write(shard.name, pa.Table.from_pylist(rows, schema=IMAGES), shard.extra)


def _caption(row: int, labels: list[int]) -> dict[str, Any]:
    text = "a picture of " + " and ".join(f"a {NAMES[c]}" for c in labels)
    key = {"caption_id": f"c{row:08d}", "text": text, "source": "test", "model": "test", "seed": 0}
    return key | {"labels": labels, "requested": labels}


def _image(caption: dict[str, Any], sample: int) -> dict[str, Any]:
    data = BytesIO()
    number = int(caption["caption_id"][1:])
    picture(caption["labels"], 2 * number + sample).save(data, "png")
    kept = number != 5  # both images of one caption were refused
    return {
        "image_id": f"{caption['caption_id']}-{sample}",
        "caption_id": caption["caption_id"],
        "seed": 0,
        "image": data.getvalue(),
        "width": 32,
        "height": 32,
        "sha256": "",
        "labels": caption["labels"],
        "model": "test",
        "kept": kept,
        "reason": "" if kept else "test",
    }


def compute_features(recipe: Recipe, store: Store, tables: Sequence[str] = features.OF_A_JOB) -> None:
    """Do the work of the stage features in this process."""
    extractor = features.FeatureExtractor(recipe, store)
    for work in features.planned(recipe, store, tables):
        extractor(asdict(work))


def finished_run(folder: Path) -> tuple[Recipe, Store]:
    """A run that is finished but for its report."""
    recipe, store = finished_images(folder)
    compute_features(recipe, store)
    for stage in (tune, evaluate, bundle):
        stage.run(recipe, store)
    return recipe, store
