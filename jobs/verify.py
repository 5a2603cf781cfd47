"""Is a run's data still what was written, and what its recipe calls for?

    uv run jobs/verify.py runs/offline             read every shard back; a line for each that is not right
    uv run jobs/verify.py runs/offline --repair    remove these; the next run of the job makes them again

Ends with 0 when all of it is right, with 1 when it is not, and with 2 when there is nothing to look at.
"""

import argparse
import sys

from jobs.console import say
from jobs.exit_code import exit_code
from t2ipal.lease import Lease, at_work
from t2ipal.verification import Fault, TableReport, open_run, repair, verify

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
        found = [fault for report in verify(recipe, store, job is not None) for fault in _told(report)]
        if found:
            say(f"{len(found)} not right; --repair removes them, so that the next run makes them again")
        return found
    with Lease(store):  # what a job is writing just now would look damaged
        found = [fault for report in verify(recipe, store) for fault in _told(report)]
        repair(store, found)
    if found:
        say(f"{len(found)} not right, and removed; the next run makes them again")
    return found


def _told(report: TableReport) -> list[Fault]:
    """Print what is known of a table; return its faults."""
    unsure = f"  (only with its manifests: {report.unknown})" if report.unknown else ""
    say(f"{report.table:<24}{report.shards:>6} shards {report.rows:>9} rows are right{unsure}")
    for fault in report.faults:
        say(f"  {fault}")
    return report.faults


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Read a run's data back and compare it.")
    parser.add_argument("run", help="folder or s3://, gs:// URI of the run")
    parser.add_argument(
        "--recipe", help="the run's recipe, for test photos that it names by a path of its own folder"
    )
    parser.add_argument("--repair", action="store_true", help="remove what is not right")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
