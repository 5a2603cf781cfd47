"""Some of a run's captions, and what became of all of them."""

from collections.abc import Iterable, Sequence

from t2ipal.report.content import Caption, Captions
from t2ipal.run_files import CAPTION_REPORT
from t2ipal.shards import Shards
from t2ipal.store import Store

SAMPLES = 12
MOST_SHARDS = 4  # that are read


def captions_of(store: Store, classes: Sequence[str]) -> Captions | None:
    """Return what there is to say of the captions that are there; None while there are none."""
    shards = store.shards("captions")
    done = shards.done()
    if not done:
        return None
    report = store.find_json(CAPTION_REPORT) or {}
    asked = [each.extra.get("asked") for each in done.values()]
    counts = report.get("classes", {}).values()
    return Captions(
        kept=sum(each.rows for each in done.values()),
        asked=None if None in asked else sum(filter(None, asked)),
        duplicates=report.get("duplicates"),
        fewest=min(counts, default=None),
        most=max(counts, default=None),
        samples=tuple(_samples(spread_over(list(done), MOST_SHARDS), shards, classes)),
    )


def spread_over(names: Sequence[str], most: int) -> Sequence[str]:
    """Return at most so many of them, spread over all."""
    return names[:: -(-len(names) // most) or 1]


def _samples(names: Iterable[str], shards: Shards, classes: Sequence[str]) -> list[Caption]:
    """Captions of as many classes as so few can have: each time one of the classes shown least so far."""
    tables = [shards.read(name, ["text", "labels"]).to_pylist() for name in names]
    rows = [row for table in tables for row in table]
    shown = [0] * len(classes)
    chosen = []
    for _ in range(min(SAMPLES, len(rows))):
        row = min(rows, key=lambda each: _rank(each["labels"], shown))
        rows.remove(row)
        chosen.append(Caption(row["text"], tuple(classes[label] for label in row["labels"])))
        for label in row["labels"]:
            shown[label] += 1
    return chosen


def _rank(labels: Sequence[int], shown: Sequence[int]) -> tuple[int, int]:
    return sum(shown[label] for label in labels), -len(labels)
