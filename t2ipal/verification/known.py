"""Which files a run may hold, by their names."""

import re
from collections.abc import Iterable

from t2ipal.lease import LEASE_FILE
from t2ipal.manifest_index import INDEX
from t2ipal.model_identity import MODELS_FILE
from t2ipal.results import MANIFEST
from t2ipal.run_files import (
    ANSWER,
    BUNDLE,
    BUNDLE_PARAMETERS,
    CAPTION_PRIOR,
    CAPTION_REPORT,
    CARD,
    DEPLOY,
    EVALUATION,
    METRICS,
    RATES,
    RAY_NOTES,
    REPORT,
    REPORT_PAGE,
    SHEETS,
    TUNE,
)
from t2ipal.shard_names import written_shards
from t2ipal.store import PROBE, RUN_FILE
from t2ipal.tuning.trial import RESULT, TUNED
from t2ipal.verification.tables import READS

_SINGLE = {
    RUN_FILE, MODELS_FILE, LEASE_FILE, CAPTION_PRIOR, CAPTION_REPORT, RATES, METRICS, CARD, ANSWER,
    REPORT_PAGE,
    f"{BUNDLE}/{BUNDLE_PARAMETERS}", f"{TUNE}/{TUNED}", f"{TUNE}/{RESULT}",
    *(f"{folder}/{MANIFEST}" for folder in (SHEETS, TUNE, EVALUATION, BUNDLE, REPORT, DEPLOY)),
}  # fmt: skip
_TABLE = rf"({'|'.join(map(re.escape, READS))})"
_INDEX = re.compile(rf"{_TABLE}/{re.escape(INDEX)}")
_ROWS = re.compile(rf"{_TABLE}/([^/]+)\.parquet")
_MANIFEST = re.compile(rf"{_TABLE}/_manifests/([^/]+)\.json")
_SHEET = re.compile(rf"{SHEETS}/[^/]+\.png")

# What nobody looks at: by what each is called, its files.
_PASSED_OVER = {
    "where tuning was last": re.compile(rf"{TUNE}/((progress|times)\.json|checkpoint-[ab]\.safetensors)"),
    "notes of Ray": re.compile(rf"({TUNE}/)?{RAY_NOTES}/.*"),
    "notes on lost devices": re.compile(r"images/_lost/[^/]+\.json"),
    # A comparison or a sweep has a folder of its own, but may have been given this one.
    "comparisons and sweeps": re.compile(r"(trials|predictions)/.*|metrics\.json|sweep\.(json|csv|png)"),
}


def is_known(name: str) -> bool:
    """Say whether a job may have written a file of this name, finished or not; none of those of shards."""
    shaped = (_INDEX, _SHEET)
    return name in _SINGLE or any(each.fullmatch(name) for each in shaped) or bool(passed_over(name))


def of_shards(names: Iterable[str]) -> set[str]:
    """Return those of a run's files that are a shard's rows or manifest."""
    found: dict[str, tuple[set[str], set[str]]] = {table: (set(), set()) for table in READS}
    for name in names:
        for kind, pattern in enumerate((_ROWS, _MANIFEST)):
            if match := pattern.fullmatch(name):
                found[match[1]][kind].add(match[2])
    return {
        file
        for table, (rows, manifests) in found.items()
        for shard in written_shards(table, rows, manifests)
        for file in (f"{table}/{shard}.parquet", f"{table}/_manifests/{shard}.json")
    }


def passed_over(name: str) -> str:
    """Return what a file is that is not looked at; nothing for all others."""
    return next((what for what, names in _PASSED_OVER.items() if names.fullmatch(name)), "")


def is_unfinished(name: str) -> bool:
    """Say whether a file of this name is one that is being written, or was when a process was killed."""
    last = name.rpartition("/")[2]
    return (last.startswith(".") and last.endswith(".tmp")) or last.startswith(PROBE)
