"""Which files a run may hold, by their names."""

import re

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
    RAY_NOTES,
    SHEETS,
    TUNE,
)
from t2ipal.store import PROBE, RUN_FILE
from t2ipal.tuning.trial import RESULT, TUNED
from t2ipal.verification.tables import READS

_SINGLE = {
    RUN_FILE, MODELS_FILE, LEASE_FILE, CAPTION_PRIOR, CAPTION_REPORT, METRICS, CARD, ANSWER,
    f"{BUNDLE}/{BUNDLE_PARAMETERS}", f"{TUNE}/{TUNED}", f"{TUNE}/{RESULT}",
    *(f"{folder}/{MANIFEST}" for folder in (SHEETS, TUNE, EVALUATION, BUNDLE, DEPLOY)),
}  # fmt: skip
_OF_TABLES = re.compile(
    rf"({'|'.join(map(re.escape, READS))})/([^/]+\.parquet|_manifests/[^/]+\.json|{re.escape(INDEX)})"
)
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
    """Say whether a job may have written a file of this name, finished or not."""
    shaped = (_OF_TABLES, _SHEET)
    return name in _SINGLE or any(each.fullmatch(name) for each in shaped) or bool(passed_over(name))


def passed_over(name: str) -> str:
    """Return what a file is that is not looked at; nothing for all others."""
    return next((what for what, names in _PASSED_OVER.items() if names.fullmatch(name)), "")


def is_unfinished(name: str) -> bool:
    """Say whether a file of this name is one that is being written, or was when a process was killed."""
    last = name.rpartition("/")[2]
    return (last.startswith(".") and last.endswith(".tmp")) or last.startswith(PROBE)
