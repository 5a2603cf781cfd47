"""What the endpoint of a run's bundle said about one image, kept in the run."""

from posixpath import basename
from typing import Any

from t2ipal.results import Results
from t2ipal.run_files import ANSWER, BUNDLE, DEPLOY
from t2ipal.store import Store
from t2ipal.tuning.source import short_digest


def is_kept(store: Store) -> bool:
    """Say whether there is the answer of the bundle that is there now."""
    try:
        return Results(store, DEPLOY).are_whole(made_from(store))
    except FileNotFoundError:  # a bundle
        return False


def keep(store: Store, answer: dict[str, Any]) -> None:
    """Write the answer of the bundle that is there now."""
    Results(store, DEPLOY).write_json(basename(ANSWER), answer, made_from(store))


def made_from(store: Store) -> dict[str, str]:
    """Return what identifies the bundle; FileNotFoundError while there is none."""
    return {"bundle": short_digest(store.read_bytes(Results(store, BUNDLE).manifest))}
