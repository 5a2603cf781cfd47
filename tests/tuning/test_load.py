"""Features reach tuning the same way from memory and from a disk, and a large table one shard at a time."""

import re
import threading

import numpy as np
import pyarrow as pa
import pytest
import torch

from t2ipal.shards import Shards
from t2ipal.stages import tune
from t2ipal.tables import FEATURES
from t2ipal.tuning.load import load_tuning_set
from t2ipal.tuning.source import SYNTHETIC
from t2ipal.tuning.trial import Trial
from tests.finished_images import compute_features, finished_images
from tests.tiny_clip import EMBED_DIM, tiny_backbone

MIB = 2**20
BFLOAT16 = {"precision": "bfloat16"}
PATCHES, COPIES = 256, 175  # of a large table, of 8,000 images


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    recipe, store = finished_images(tmp_path_factory.mktemp("features"))
    compute_features(recipe, store)
    return recipe, store


def with_tune(recipe, **changes):
    return recipe.model_copy(update={"tune": recipe.tune.model_copy(update=changes)})


def forget(trial):
    for name in (trial.result, trial.tuned, trial.progress):
        if trial.store.exists(name):
            trial.store.delete(name)


def test_tuning_is_the_same_wherever_the_features_are(run):
    recipe, store = run
    found = []
    for place in ("memory", "disk"):
        trial = Trial.of(with_tune(recipe, features=place), store)
        tune.run(trial.recipe, store)
        found.append((store.read_bytes(trial.tuned), store.read_json(trial.result)["log"]))
        forget(trial)
    assert found[0] == found[1]


def test_the_recipe_says_the_precision_and_the_parts(run):
    whole, parts, rounded = (losses(*run, changes) for changes in ({}, {"accumulate": 2}, BFLOAT16))
    assert parts != whole
    assert parts == pytest.approx(whole, rel=1e-4)
    assert rounded != pytest.approx(whole, rel=1e-5)
    assert rounded == pytest.approx(whole, rel=0.05)


def losses(recipe, store, changes):
    """Of tuning with other settings. A result in another precision is another one."""
    trial = Trial.of(with_tune(recipe, **changes), store)
    tune.run(trial.recipe, store)
    found = [entry["loss"] for entry in store.read_json(trial.result)["log"]]
    exact = Trial.of(with_tune(trial.recipe, precision="float32", accumulate=3), store)
    assert exact.is_done() == (changes != BFLOAT16)
    forget(trial)
    return found


def test_who_comes_later_reads_nothing_from_the_store(run, monkeypatch):
    recipe, store = run
    arguments = (recipe, store, SYNTHETIC, tiny_backbone("resnet"))
    first = load_tuning_set(*arguments, with_templates=False)
    monkeypatch.setattr(Shards, "read", lambda self, name, columns=None: pytest.fail(f"read {name}"))
    second = load_tuning_set(*arguments, with_templates=False)
    assert second.images.features.patches.equal(first.images.features.patches)
    with pytest.raises(pytest.fail.Exception):
        load_tuning_set(*arguments, with_templates=True)  # other tables


def enlarge(store):
    """Put many images with random patches in the place of every image of a run; return what they take."""
    shards, random, total = store.shards("features"), np.random.default_rng(0), 0
    for name, manifest in shards.done().items():
        rows = shards.read(name)
        count = rows.num_rows * COPIES
        patches = random.standard_normal((count, PATCHES * EMBED_DIM), dtype=np.float32).astype(np.float16)
        many = rows.take(np.arange(count) % rows.num_rows)
        ids = [f"{key}{i}" for i, key in enumerate(many["image_id"].to_pylist())]
        columns = [ids, many["labels"], many["global"], pa.array(list(patches))]
        shards.write(name, pa.table(columns, schema=FEATURES), manifest.extra)
        total += patches.nbytes
    return total


def own_memory():
    """Bytes that only this process has, files that it maps left out."""
    with open("/proc/self/status") as file:
        return int(re.search(r"RssAnon:\s+(\d+) kB", file.read())[1]) * 1024


def most_memory(work):
    """The most that this process has while some work is done, beyond what it had before."""
    before, most, ended = own_memory(), [0], threading.Event()

    def watch():
        while not ended.wait(0.002):
            most[0] = max(most[0], own_memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    work()
    ended.set()
    watcher.join()
    return most[0] - before


def test_a_large_table_is_never_in_memory_as_a_whole(tmp_path):
    recipe, store = finished_images(tmp_path, images={"shard_rows": 2})
    compute_features(recipe, store)
    total = enlarge(store)
    assert total > 90 * MIB
    backbone, seen = tiny_backbone("resnet"), []

    def read_all():
        data = load_tuning_set(with_tune(recipe, features="disk"), store, SYNTHETIC, backbone, False)
        seen.extend(len(labels) for _, labels in data.in_order(64, torch.device("cpu")))

    assert most_memory(read_all) < total / 2
    assert sum(seen) > total / (PATCHES * EMBED_DIM * 2) / 2  # some are held out
