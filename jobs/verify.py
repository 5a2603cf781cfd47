"""Is what a run holds still what was written, and what its recipe calls for?

    uv run jobs/verify.py runs/offline             read it all back; a line for each thing that is wrong
    uv run jobs/verify.py runs/offline --repair    remove these; the next run of the job makes them again

It reads the tables, the sheets, tuned parameters, figures, the bundle and the endpoint's answer. Files that
no job writes are named, and left where they are.

Ends with 0 when all of it is right, with 1 when it is not, and with 2 when there is nothing to look at.
"""

import argparse
import sys
from collections.abc import Iterator

from jobs.console import say
from jobs.exit_code import exit_code
from t2ipal.errors import UserError
from t2ipal.lease import Lease, at_work
from t2ipal.recipe import Recipe
from t2ipal.store import Store
from t2ipal.verification import (
    Fault,
    FilesReport,
    TableReport,
    not_looked_at,
    open_run,
    repair,
    verify,
    verify_files,
)

NOT_RIGHT = 1


def main(argv: list[str] | None = None) -> int:
    """Run the job; return its exit code."""
    arguments = _parse(argv)
    found: list[Fault] = []
    return exit_code(lambda: found.extend(_job(arguments))) or (NOT_RIGHT if found else 0)


def _job(arguments: argparse.Namespace) -> list[Fault]:
    recipe, store = open_run(arguments.run, arguments.recipe, writable=arguments.repair)
    if not arguments.repair:
        if (job := at_work(store)) is not None:
            say(f"process {job.pid} on {job.host} works here: what it is writing is not looked at")
        found = _look(recipe, store, job is not None)
        if any(_is_made_again(fault) for fault in found):
            say("--repair removes what is not right, and the next run of the job makes it again")
        return found
    with Lease(store):  # what a job is writing just now would look damaged
        found = _look(recipe, store)
        repair(store, found)
    again = [fault for fault in found if _is_made_again(fault)]
    if again:
        missing = sum(fault.kind == "missing" for fault in again)
        say(f"{len(again) - missing} removed, {missing} missing: the next run makes what it needs of them")
    if foreign := sum(fault.kind == "foreign" for fault in found):
        say(f"{foreign} left in place, as no job would make them again: move them away")
    if bound := len(found) - len(again) - foreign:
        say(f"{bound} left in place, as what is there followed it: go on in another run folder")
    return found


def _look(recipe: Recipe, store: Store, under_way: bool = False) -> list[Fault]:
    """Print what is found; return what is not right. UserError when the run holds nothing yet."""
    found: list[Fault] = []
    is_empty = True
    for report in _reports(recipe, store, under_way):
        is_empty &= isinstance(report, FilesReport) and not report.is_of_results
        say(_line(report))
        for fault in report.faults:
            say(f"  {fault}")
        found += [fault for fault in report.faults if not fault.is_harmless]
    if is_empty and not found:
        raise UserError(
            f"there is no data in {store.uri!r} yet: it holds no more than the recipe of a run",
            "run the job, or give the folder of another run",
        )
    if passed_over := not_looked_at(store):
        say(f"not looked at: {', '.join(passed_over)}")
    say(f"{len(found)} not right" if found else "all of it is right")
    return found


def _reports(recipe: Recipe, store: Store, under_way: bool) -> Iterator[TableReport | FilesReport]:
    yield from verify(recipe, store, under_way)
    yield from verify_files(recipe, store, under_way)


def _line(report: TableReport | FilesReport) -> str:
    if isinstance(report, FilesReport) and not report.is_of_run:
        return report.what
    if isinstance(report, FilesReport):
        return f"{report.what:<24}{report.files:>6} files are right"
    line = f"{report.table:<24}{report.shards:>6} shards, {report.rows} rows, are right"
    if not report.unknown:
        return line
    return f"{line}, compared with their manifests alone: {report.unknown}"


def _is_made_again(fault: Fault) -> bool:
    return fault.kind == "missing" or fault.remove != ()


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Read what a run holds back and compare it.")
    parser.add_argument("run", help="folder or s3://, gs:// URI of the run")
    parser.add_argument(
        "--recipe", help="the run's recipe, for test photos that it names by a path of its own folder"
    )
    parser.add_argument("--repair", action="store_true", help="remove what is not right")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
