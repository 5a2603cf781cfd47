"""Report: what the run made and how good it is, as one page for people. Comes after all that it shows."""

import time
from posixpath import basename

from t2ipal.errors import UserError
from t2ipal.recipe import Recipe
from t2ipal.results import Results
from t2ipal.run_files import BUNDLE, CAPTION_REPORT, METRICS, REPORT, REPORT_PAGE
from t2ipal.stages import bundle
from t2ipal.stages.report import StageReport
from t2ipal.store import Store
from t2ipal.tuning.source import AGREEMENT, short_digest
from t2ipal.tuning.trial import Trial

STAGE = "report"
FORMAT = 1  # of the page: a run's page is made anew where it is of another one


def pending(recipe: Recipe, store: Store) -> list[str]:
    """Return [REPORT_PAGE] until there is the page of the run as it is."""
    if bundle.pending(recipe, store):
        return [REPORT_PAGE]
    return [] if Results(store, REPORT).are_whole(made_from(recipe, store)) else [REPORT_PAGE]


def run(recipe: Recipe, store: Store) -> StageReport:
    """Write the page of a finished run. Needs the bundle; no Ray."""
    start = time.monotonic()
    missing = pending(recipe, store)
    if missing:
        if bundle.pending(recipe, store):
            raise UserError("report: bundle is not complete", "run the stage bundle first")
        write(recipe, store)
    return StageReport(
        stage=STAGE,
        rows=1,
        shards_total=1,
        shards_done_before=1 - len(missing),
        seconds=time.monotonic() - start,
    )


def write(recipe: Recipe, store: Store) -> None:
    """Write the page of a run as it is, finished or not."""
    from t2ipal.report.gather import gather
    from t2ipal.report.page import run_page

    origin = made_from(recipe, store)
    page = run_page(gather(recipe, store))
    Results(store, REPORT).write([(basename(REPORT_PAGE), page)], origin)


def made_from(recipe: Recipe, store: Store) -> dict[str, str]:
    """Return what identifies the settings and the data of the page, as far as they are there."""
    tables = (store.shards(name) for name in ("captions", "images", AGREEMENT))
    digests = [table.digest(table.done()) or "" for table in tables]
    files = (CAPTION_REPORT, Trial.of(recipe, store).result, METRICS, Results(store, BUNDLE).manifest)
    contents = [store.read_bytes(name) if store.exists(name) else b"" for name in files]
    return {
        "recipe": recipe.fingerprint(bundle.STAGE),
        "data": short_digest(*digests, *contents),
        "format": str(FORMAT),
    }
