"""What became of a run's captions: how many were accepted, how often each class and pair is named."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import nsmallest
from typing import Any

from t2ipal.captions.cooccurrence import LabelCounts, count_labels
from t2ipal.run_files import CAPTION_REPORT
from t2ipal.shards import Manifest, Shards
from t2ipal.vocabulary import Vocabulary

_SHOWN = 20  # rejected captions in the report, and names in a warning


def write_report(
    shards: Shards, manifests: Mapping[str, Manifest], vocabulary: Vocabulary, figures: Mapping[str, Any]
) -> dict[str, Any]:
    """Write the report of a whole table to the run, `figures` first, and return it.

    The captions are read shard by shard. Some that were not accepted are in it: of classes that none names,
    if there are such, before others.
    """
    counts = label_counts(shards, manifests, vocabulary)
    rejected = rejections((manifest.extra for manifest in manifests.values()), counts["classes"])
    report = {**figures, **({"rejections": rejected} if rejected else {}), **counts}
    shards.store.write_json(CAPTION_REPORT, report)
    return report


def label_counts(shards: Shards, names: Iterable[str], vocabulary: Vocabulary) -> dict[str, Any]:
    """Return what a report says that follows from the captions alone: their number, classes and pairs."""
    counts = count_labels(_labels(shards, names), len(vocabulary))
    return {"captions": counts.sentences, **_by_name(counts, vocabulary.names)}


def acceptance(extras: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the sums of what the manifests of asked captions say.

    `accepted` has one number for each attempt; `acceptance` is the share of the planned captions that was
    accepted at some attempt, those that were dropped as duplicates included.
    """
    sums = {"asked": 0, "rejected": 0, "duplicates": 0}
    accepted: list[int] = []
    for extra in extras:
        for key in sums:
            sums[key] += extra.get(key, 0)  # former versions dropped no duplicates, and asked once
        counts = extra.get("accepted") or [extra["kept"]]
        accepted += [0] * (len(counts) - len(accepted))
        for attempt, count in enumerate(counts):
            accepted[attempt] += count
    return {**sums, "accepted": accepted, "acceptance": sum(accepted) / sums["asked"]}


def rejections(extras: Iterable[Mapping[str, Any]], classes: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return some captions that were not accepted: the "classes" asked for, and an "answer".

    `classes` says how many captions name each class.
    """
    every = (each for extra in extras for each in extra.get("rejections", ()))
    return nsmallest(_SHOWN, every, key=lambda each: all(classes[name] for name in each["classes"]))


def unnamed(report: Mapping[str, Any]) -> str:
    """Return a warning where there are classes that no caption names; nothing where there are none."""
    classes = [name for name, count in report["classes"].items() if not count]
    if not classes:
        return ""
    more = f" and {len(classes) - _SHOWN} more" if len(classes) > _SHOWN else ""
    looked = f"; {CAPTION_REPORT} shows answers that were rejected" if report.get("rejections") else ""
    return f"no caption names {', '.join(classes[:_SHOWN])}{more}{looked}"


def notes(report: Mapping[str, Any]) -> dict[str, str]:
    """Return what the stage's line says of classes and pairs."""
    per_class = report["classes"].values()
    n = len(per_class)
    pairs = sum(map(len, report["pairs"].values()))
    return {
        "per class": f"{min(per_class)} to {max(per_class)}",
        "pairs": f"{pairs} of {n * (n - 1) // 2}",
    }


def _labels(shards: Shards, names: Iterable[str]) -> Iterator[list[int]]:
    for name in names:
        yield from shards.read(name, ["labels"]).column("labels").to_pylist()


def _by_name(counts: LabelCounts, names: Sequence[str]) -> dict[str, Any]:
    """Counts of all classes, and of the pairs that occur."""
    pairs = {
        a: {names[j]: int(counts.pairs[i, j]) for j in counts.pairs[i].nonzero()[0]}
        for i, a in enumerate(names)
    }
    return {
        "classes": dict(zip(names, counts.classes.tolist(), strict=True)),
        "pairs": {a: others for a, others in pairs.items() if others},
    }
