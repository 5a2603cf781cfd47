"""What tuning goes on from, looked at before any worker starts: features, their labels, and a checkpoint.

A worker would meet the same after its start, each of them and in every retry, and say it less clearly; NaN
would spoil the parameters without a word.
"""

import logging
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from t2ipal.clip import Backbone
from t2ipal.clip.feature_tables import read_labels
from t2ipal.errors import DamagedFileError, UserError
from t2ipal.feature_faults import not_finite, unsuitable
from t2ipal.methods.base import Method, Phase, tuned_parameters
from t2ipal.recipe import Recipe
from t2ipal.store import Store
from t2ipal.tuning.agreement import left_out
from t2ipal.tuning.checkpoint import shapes
from t2ipal.tuning.limited import Known, Labels
from t2ipal.tuning.source import CAPTIONS, LABELLED, SYNTHETIC, image_keys, is_held_out, source_shards
from t2ipal.tuning.trial import Trial
from t2ipal.vocabulary import Vocabulary

NAMED = 10  # classes in a message

_log = logging.getLogger(__name__)
_VERBS = {SYNTHETIC: "image shows", LABELLED: "labelled photo shows", CAPTIONS: "caption names"}


class InputCheck:
    """Looks at what trials read, each table once for however many of them, a shard at a time."""

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone
        self._labels: dict[tuple[str, str], tuple[Labels, list[str]]] = {}
        self._told: set[str] = set()

    def __call__(self, trial: Trial) -> Method:
        """Return the method of a trial, untuned. UserError for input that it cannot learn from; a class that
        nothing shows is told or refused, as `tune.classes_without_samples` says.
        """
        method = trial.build(self._backbone)
        phases = method.phases()
        for table in _tables(trial, phases):
            labels, keys = self._read(trial, table)
            learns = [phase for phase in phases if (phase.rows == "captions") == (table == CAPTIONS)]
            if any(not phase.templates for phase in learns):
                known = trial.known if table == LABELLED else None
                self._complain(_without_samples(labels, keys, known), table, trial.recipe)
        return method

    def _read(self, trial: Trial, table: str) -> tuple[Labels, list[str]]:
        key = (trial.source.uri, table)
        if key not in self._labels:
            self._labels[key] = checked_labels(trial.recipe, trial.source, table, self._backbone)
        return self._labels[key]

    def _complain(self, classes: Sequence[int], table: str, recipe: Recipe) -> None:
        if not classes:
            return
        names = Vocabulary.load(recipe.vocabulary).names
        some = ", ".join(repr(names[i]) for i in classes[:NAMED])
        more = f" and {len(classes) - NAMED} more" if len(classes) > NAMED else ""
        problem = f"tune: no {_VERBS[table]} {some}{more}, of what there is to learn from"
        if recipe.tune.classes_without_samples == "refuse":
            raise UserError(
                problem,
                "make more captions and images, take these classes out of the vocabulary, or set "
                "tune.classes_without_samples to warn",
            )
        if problem not in self._told:
            self._told.add(problem)
            _log.warning("%s: in tuning they rank below all others, whatever is there", problem)


def checked_labels(recipe: Recipe, store: Store, table: str, backbone: Backbone) -> tuple[Labels, list[str]]:
    """Return the labels [N, C] of the rows of a table that tuning learns from, and the keys by which the
    others are held out. Reads all of it, a shard at a time.

    UserError when the table is of another recipe, backbone or vocabulary, or holds NaN or infinite numbers.
    """
    store.expect(recipe, (table,))
    classes = len(Vocabulary.load(recipe.vocabulary))
    without = left_out(recipe, store, table)
    found: list[Labels] = [np.zeros((0, classes), dtype=np.bool_)]
    kept: list[str] = []
    for name in source_shards(recipe, store, table):
        rows = store.shards(table).read(name)
        _check_shard(rows, f"{table}/{name}", store, backbone, classes)
        ids: list[str] = rows.column(0).to_pylist()
        keys = ids if table == CAPTIONS else image_keys(ids, table)
        here = [i for i, key in enumerate(keys) if ids[i] not in without and not is_held_out(key, recipe)]
        kept += [keys[i] for i in here]
        found.append(read_labels(rows, classes).numpy()[here])
    return np.concatenate(found), kept


def check_checkpoint(trial: Trial, method: Method, replaces: bool = False) -> None:
    """Raise UserError where the checkpoint that tuning would go on from is of another recipe, or damaged.

    One of other features is no fault: they have been made anew since, and tuning begins anew. Nor is one of
    other settings where tuning `replaces` what there is of them.
    """
    store, origin = trial.store, trial.origin()
    if not store.exists(trial.progress):
        return
    where = f"the checkpoint in {store.uri_of(trial.folder)!r}"
    other = "" if replaces else "give another run folder, or "
    remedy = f"{other}delete this one to tune from the beginning"
    try:
        progress = store.read_json(trial.progress)
        settings, data, name = (progress[key] for key in ("settings", "data", "checkpoint"))
        if settings != origin["settings"] and replaces:
            return
        if settings == origin["settings"] and data != origin["data"]:
            return
        found = shapes(store, name)
    except (ValueError, KeyError, TypeError, FileNotFoundError) as error:
        reason = error.__cause__ if isinstance(error, DamagedFileError) else repr(error)
        raise UserError(f"{where} is damaged: {reason}", remedy) from error
    expected = {each: list(value.shape) for each, value in tuned_parameters(method).items()}
    if settings != origin["settings"] or found != expected:
        raise UserError(f"{where} is of another recipe", remedy)


def _tables(trial: Trial, phases: Sequence[Phase]) -> list[str]:
    """The tables that a trial reads: of painted images the captions too, of images none where only captions
    teach.
    """
    if trial.table == LABELLED:
        return [LABELLED]
    images = [SYNTHETIC] if any(phase.rows == "images" for phase in phases) else []
    return [*images, CAPTIONS]


def _without_samples(labels: Labels, keys: Sequence[str], known: Known | None) -> list[int]:
    told: Labels = labels if known is None else labels & known(labels, keys)
    return [i for i in range(told.shape[1]) if not told[:, i].any()]


def _check_shard(rows: pa.Table, name: str, store: Store, backbone: Backbone, classes: int) -> None:
    if problem := unsuitable(rows, backbone.embedding, classes):
        raise UserError(
            f"the features {name} in {store.uri!r} are of another backbone or vocabulary: {problem}",
            "put the former ones back, or delete the table's folder: the same command computes it again",
        )
    if broken := not_finite(rows):
        raise UserError(
            f"the features {name} in {store.uri!r} hold NaN or infinite numbers: {len(broken)} of "
            f"{rows.num_rows} rows, {broken[0]!r} for one",
            "jobs/verify.py with --repair removes such shards, and the same command computes them again",
        )
