"""From the predictions of many methods to one table: means over seeds, and which differences are sure."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from t2ipal.clip.feature_tables import read_labels
from t2ipal.evaluation.bootstrap import RESAMPLES, ResampledMap, resampled_map
from t2ipal.evaluation.metrics import Labels
from t2ipal.evaluation.report import differences, summarise
from t2ipal.method_names import FUSED, WITHOUT
from t2ipal.shards import Shards

# What the papers claim, and what a combination of both has to show.
CLAIMS = (
    ("tai_dpt", "zero_shot_dense"),
    ("pvp", "tai_dpt"),
    ("t2i_pal", "zero_shot_standardised"),
    ("t2i_pal", "tai_dpt"),
    ("t2i_pal_pvp", "t2i_pal"),
    ("t2i_pal_pvp", "pvp"),
    ("supervised", "t2i_pal_pvp"),
)


def compare(
    predictions: Shards, names: Mapping[str, Sequence[str]], test: Shards, classes: int
) -> dict[str, Any]:
    """Return "methods" and "differences" of metrics.json for methods whose predictions are the shards
    `names`, one for each seed.
    """
    labels, manifests = test_labels(test, classes), predictions.done()
    methods = {
        name: summarise([manifests[shard].extra["figures"] for shard in shards])
        for name, shards in names.items()
    }
    pairs = pairs_of(list(names))
    resampled = {name: resample(predictions, names[name], labels) for name in dict.fromkeys(sum(pairs, ()))}
    return {"methods": methods, "resamples": RESAMPLES, "differences": differences(resampled, pairs)}


def pairs_of(names: Sequence[str]) -> list[tuple[str, str]]:
    """The pairs (ours, theirs) whose difference is of interest: the claims, each method with its ablations,
    and each fused one with both of its parts.
    """
    ablations = [
        (name.partition(WITHOUT)[0], name) for name in names if WITHOUT in name and FUSED not in name
    ]
    fused = [(name, part) for name in names if FUSED in name for part in reversed(name.split(FUSED))]
    return [pair for pair in (*CLAIMS, *ablations, *fused) if set(pair) <= set(names)]


def test_labels(test: Shards, classes: int) -> Labels:
    """Return the labels [N, C] of all test images."""
    tables = [test.read(name, ["labels"]) for name in test.done()]
    labels: Labels = np.concatenate([read_labels(table, classes).numpy() for table in tables])
    return labels


def resample(predictions: Shards, shards: Sequence[str], labels: Labels) -> ResampledMap:
    """Return the resampled mAP of a method from its predictions, one shard for each seed."""
    columns = [predictions.read(shard, ["scores"])["scores"].combine_chunks() for shard in shards]
    return resampled_map([each.flatten().to_numpy().reshape(labels.shape) for each in columns], labels)
