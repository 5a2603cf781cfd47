"""What a run holds beside its tables: the results of stages, small files of notes, and what is none of it."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from t2ipal import answer
from t2ipal.captions.prior import stored_prior
from t2ipal.captions.report import label_counts
from t2ipal.errors import StoreError, UserError
from t2ipal.model_identity import MODELS_FILE
from t2ipal.recipe import Recipe
from t2ipal.results import MANIFEST, Contents, Results, Written
from t2ipal.run_files import (
    BUNDLE,
    CAPTION_DRAFTS,
    CAPTION_PRIOR,
    CAPTION_REPORT,
    DEPLOY,
    EVALUATION,
    RATES,
    REPORT,
    SHEETS,
    TUNE,
)
from t2ipal.stages import bundle, captions, evaluate, features, images, page, sheets
from t2ipal.store import RUN_FILE, Store
from t2ipal.tuning.source import planned_images
from t2ipal.tuning.trial import Trial
from t2ipal.verification.fault import Fault, Kind
from t2ipal.verification.known import is_known, is_unfinished, of_shards, passed_over
from t2ipal.verification.tables import READS
from t2ipal.vocabulary import Vocabulary

NOTES, OTHERS = "notes on the run", "other files"

MadeFrom = dict[str, Any] | None

# The folders of results, and what follows from each: where that was begun, the folder must be there.
_FOLLOWS: dict[str, tuple[str, ...]] = {
    SHEETS: (features.IMAGES, TUNE),
    TUNE: (EVALUATION, BUNDLE),
    EVALUATION: (BUNDLE,),
    BUNDLE: (DEPLOY,),
    REPORT: (),  # of whatever is there
    DEPLOY: (),
}


@dataclass(frozen=True)
class FilesReport:
    """What was found among single files: how many are right, and what is wrong."""

    what: str
    files: int
    faults: list[Fault]

    @property
    def is_of_run(self) -> bool:
        """Whether these are files that jobs write."""
        return self.what != OTHERS

    @property
    def is_of_results(self) -> bool:
        """Whether these files are what the run was to make, not notes on it, nor anything else."""
        return self.what in _FOLLOWS


def verify_files(recipe: Recipe, store: Store, under_way: bool = False) -> Iterator[FilesReport]:
    """Yield what is found in each folder of results that was begun, or that a later one follows from, in the
    small files with notes, and among those that are nothing of a run.

    While a job is `under_way`, files that it may be writing are passed over.
    """
    names = sorted(map(store.name_of, store.all_files()))
    for folder, following in _FOLLOWS.items():
        if folder == EVALUATION and recipe.evaluate.dataset is None:
            continue
        if any(_is_begun(each, names) for each in (folder, *following)):
            yield _verify_results(folder, recipe, store, under_way)
    yield _verify_notes(recipe, store, names)
    if strays := _strays(recipe, store, names, under_way):
        yield FilesReport(OTHERS, 0, strays)


def not_looked_at(store: Store) -> list[str]:
    """Return what there is in a run that `verify` and `verify_files` pass over, in a few words each."""
    return sorted({what for file in store.all_files() if (what := passed_over(store.name_of(file)))})


def _is_begun(folder: str, names: list[str]) -> bool:
    """Say whether there is a file of a stage, and not of one that has a place of its own in its folder."""
    others = f"{evaluate.TABLE}/"
    within = (name for name in names if name.startswith(f"{folder}/") and not name.startswith(others))
    return any(is_known(name) and not passed_over(name) for name in within)


def _verify_results(folder: str, recipe: Recipe, store: Store, under_way: bool) -> FilesReport:
    results = Results(store, folder)
    contents = results.contents()
    if contents is None:
        return FilesReport(folder, 0, [] if under_way else [_without_manifest(results)])
    found = (_differs(results, name, written) for name, written in contents.files.items())
    faults = [fault for fault in found if fault is not None]
    if under_way:
        being_written = bool(faults) and results.contents() != contents
        return FilesReport(folder, len(contents.files) - len(faults), [] if being_written else faults)
    if not faults and _has_other_sources(results, contents, recipe):
        reason = "what these files were made from has changed since"
        return FilesReport(folder, 0, [Fault("changed", folder, MANIFEST, reason, (results.manifest,))])
    return FilesReport(folder, len(contents.files) - len(faults), faults)


def _without_manifest(results: Results) -> Fault:
    if not results.store.exists(results.manifest):
        return Fault("missing", results.folder, MANIFEST, "it is not there, so nothing was finished", ())
    return Fault("torn", results.folder, MANIFEST, "this manifest cannot be read", (results.manifest,))


def _differs(results: Results, name: str, written: Written) -> Fault | None:
    path = f"{results.folder}/{name}"
    remove = (results.manifest, path)  # the manifest first: what is half removed is not finished
    try:
        data = results.store.read_bytes(path)
    except FileNotFoundError:
        return Fault("missing", results.folder, name, "it is not there", (results.manifest,))
    if len(data) != written.size:
        reason = f"it has {len(data)} bytes, and {written.size} were written"
        return Fault("torn", results.folder, name, reason, remove)
    if Written.of(data) != written:
        return Fault("changed", results.folder, name, "its bytes are not those that were written", remove)
    return None


def _has_other_sources(results: Results, contents: Contents, recipe: Recipe) -> bool:
    sources: dict[str, Callable[[Recipe, Store], MadeFrom]] = {
        SHEETS: _sheets_made_from,
        TUNE: _tuned_from,
        EVALUATION: evaluate.made_from,
        BUNDLE: bundle.made_from,
        REPORT: _reported_from,
        DEPLOY: lambda recipe, store: answer.made_from(store),
    }
    try:
        source = sources[results.folder](recipe, results.store)
    except FileNotFoundError:  # which has a fault of its own
        return False
    return source is not None and contents.made_from != source


def _sheets_made_from(recipe: Recipe, store: Store) -> MadeFrom:
    if images.pending(recipe, store):
        return None
    done = store.shards(images.STAGE).done()
    return sheets.made_from(Vocabulary.load(recipe.vocabulary).names, planned_images(recipe, store), done)


def _tuned_from(recipe: Recipe, store: Store) -> MadeFrom:
    origin = Trial.of(recipe, store).origin()
    return None if origin["data"] is None else origin


def _reported_from(recipe: Recipe, store: Store) -> MadeFrom:
    """Of a run that is not finished the page shows what was there."""
    return None if bundle.pending(recipe, store) else page.made_from(recipe, store)


def _verify_notes(recipe: Recipe, store: Store, names: list[str]) -> FilesReport:
    """The recipe has been read; the others must be readable, and the report that of the captions."""
    checks: dict[str, Callable[[], str]] = {
        RUN_FILE: lambda: "",
        MODELS_FILE: partial(_unreadable, store, MODELS_FILE),
        CAPTION_PRIOR: partial(_prior_fault, recipe, store),
        CAPTION_REPORT: partial(_report_fault, recipe, store),
        RATES: partial(_unreadable, store, RATES),
    }
    found = {name: check() for name, check in checks.items() if name in names}
    faults = [
        # The captions that are there followed the prior: another would not be theirs.
        _fault("torn", name, reason, () if name == CAPTION_PRIOR else (name,))
        for name, reason in found.items()
        if reason
    ]
    return FilesReport(NOTES, len(found) - len(faults), faults)


def _unreadable(store: Store, name: str) -> str:
    return "" if isinstance(store.find_json(name), dict) else "it cannot be read"


def _prior_fault(recipe: Recipe, store: Store) -> str:
    try:
        stored_prior(Vocabulary.load(recipe.vocabulary), store)
    except StoreError:
        raise
    except UserError:
        return "it cannot be read, and the captions that are there followed it"
    return ""


def _report_fault(recipe: Recipe, store: Store) -> str:
    report, shards = store.find_json(CAPTION_REPORT), store.shards(captions.STAGE)
    if not isinstance(report, dict):
        return "it cannot be read"
    if captions.pending(recipe, store):  # with which it is written anew
        return ""
    try:
        counts = label_counts(shards, shards.done(), Vocabulary.load(recipe.vocabulary))
    except (UserError, FileNotFoundError, IndexError):  # of captions that have a fault of their own
        return ""
    return "" if counts.items() <= report.items() else "it is not that of the captions"


def _strays(recipe: Recipe, store: Store, names: list[str], under_way: bool) -> list[Fault]:
    listed = Results(store, SHEETS).contents()
    own = set(names) if listed is None else {f"{SHEETS}/{name}" for name in (MANIFEST, *listed.files)}
    drafts_matter, shards = bool(captions.pending(recipe, store)), of_shards(names)
    faults = []
    for name in names:
        if name.startswith(f"{CAPTION_DRAFTS}/") and (under_way or not drafts_matter):
            continue
        if is_unfinished(name):
            if not under_way:
                reason = "a process was killed while it wrote this file"
                faults.append(_fault("torn", name, reason, (name,)))
        elif not (is_known(name) or name in shards) or (name.startswith(f"{SHEETS}/") and name not in own):
            kind: Kind = "foreign" if _passes_for_rows(name) else "stray"
            faults.append(_fault(kind, name, "no job writes a file of this name", ()))
    return faults


def _passes_for_rows(name: str) -> bool:
    """Say whether those who read the folder of a table as one find this file among its rows: they look into
    folders, too, but for those and files that begin with "_" or ".".
    """
    within = [name.removeprefix(f"{table}/") for table in READS if name.startswith(f"{table}/")]
    return name.endswith(".parquet") and any(not re.search(r"(^|/)[_.]", each) for each in within)


def _fault(kind: Kind, name: str, reason: str, remove: tuple[str, ...]) -> Fault:
    folder, _, last = name.rpartition("/")
    return Fault(kind, folder, last, reason, remove)
