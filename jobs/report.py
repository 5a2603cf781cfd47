"""What a run made and how good it is, as one page; or two runs side by side.

    uv run jobs/report.py runs/offline                    writes runs/offline/report/index.html anew
    uv run jobs/report.py runs/offline --out page.html    writes it elsewhere, and leaves the run as it is
    uv run jobs/report.py runs/a runs/b                   writes comparison.html, or what --out names

A job writes the page of its run itself, at its end. A run that is not finished has a page too, which says
what is missing.
"""

import argparse
import sys
from pathlib import Path

from jobs.console import say
from jobs.exit_code import exit_code
from t2ipal.errors import UserError
from t2ipal.lease import Lease
from t2ipal.run_files import REPORT_PAGE
from t2ipal.stages import page
from t2ipal.verification import open_run

COMPARISON = "comparison.html"


def main(argv: list[str] | None = None) -> int:
    """Run the job; return its exit code."""
    arguments = _parse(argv)
    return exit_code(lambda: _job(arguments))


def _job(arguments: argparse.Namespace) -> None:
    if arguments.other:
        _compare(arguments)
    elif arguments.out:
        from t2ipal.report.gather import gather
        from t2ipal.report.page import run_page

        _write(arguments.out, run_page(gather(*open_run(arguments.run, arguments.recipe))))
    else:
        recipe, store = open_run(arguments.run, arguments.recipe, writable=True)
        with Lease(store):
            page.write(recipe, store)
        say(f"report {store.uri_of(REPORT_PAGE)}")


def _compare(arguments: argparse.Namespace) -> None:
    from t2ipal.report.comparison import compare
    from t2ipal.report.page import comparison_page

    a, b = open_run(arguments.run), open_run(arguments.other)
    _write(arguments.out or COMPARISON, comparison_page(compare(a, b)))


def _write(name: str, content: bytes) -> None:
    try:
        Path(name).write_bytes(content)
    except OSError as error:
        raise UserError(f"cannot write {name!r}: {error}", "give another file with --out") from error
    say(f"report {name}")


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Write the page of a run, or of two side by side.")
    parser.add_argument("run", help="folder or s3://, gs:// URI of the run")
    parser.add_argument("other", nargs="?", help="another run, to be shown beside it")
    parser.add_argument("--out", help=f"a file for the page; default: in the run, or {COMPARISON}")
    parser.add_argument(
        "--recipe", help="the run's recipe, for test photos that it names by a path of its own folder"
    )
    arguments = parser.parse_args(argv)
    if arguments.other and arguments.recipe:
        parser.error("--recipe is that of one run; leave it out where there are two")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
