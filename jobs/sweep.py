"""How a recognizer depends on its settings: one method tuned with many of them on the features of one run.

    uv run jobs/sweep.py --out runs/sweep --set methods.t2i_pal.alpha=0.2,0.5,0.8 --set tune.seed=0,1
    uv run jobs/sweep.py --out runs/sweep --set tune.method=pvp --set methods.pvp.noise=0,0.04,0.1
    uv run jobs/sweep.py --out runs/shots --set tune.images_per_class=1,4,16,64 --set tune.seed=0,1,2

Any field of `methods` may be swept, and of `tune` its method, holdout, images_per_class and seed; several of
them together as a grid. Every other setting is the recipe's. Captions, images and their features are those of
the recipe's run, which is completed first where something is missing. The points are scored on photos that
are there to choose by, `dev` of the drawn world: on those of a test the best one would look better than it
is. In the folder of --out: sweep.json, sweep.csv, sweep.png, tuned parameters and predictions. The same
command goes on where it was interrupted.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from jobs.checks import check_run_uri
from jobs.console import say, stage_line
from jobs.exit_code import exit_code
from jobs.inputs import OF_THE_PHOTOS, features_completed, with_photos
from jobs.pipeline import DEFAULT_RECIPE
from jobs.preflight import check_paths
from t2ipal.errors import UserError
from t2ipal.lease import Lease
from t2ipal.recipe import Recipe, load_recipe
from t2ipal.stages import sweep as stage
from t2ipal.stages.changed_recipe import claim_tables
from t2ipal.store import Store
from t2ipal.tuning.grid import Point, points_of

REPORT, TABLE, PLOT = "sweep.json", "sweep.csv", "sweep.png"
DEVELOPMENT = "dev"  # the drawn world's split to choose by


def main(argv: list[str] | None = None) -> int:
    """Run the sweep; return its exit code."""
    arguments = _parse(argv)
    return exit_code(lambda: _job(arguments))


def _job(arguments: argparse.Namespace) -> None:
    loaded = load_recipe(arguments.recipe)
    recipe = _to_choose_by(loaded, arguments.dataset, arguments.split)
    points = points_of(recipe, arguments.set)
    check_paths(recipe)
    uri = arguments.run or recipe.run
    check_run_uri(arguments.out)
    check_run_uri(uri)
    out, run = Store.open(arguments.out), Store.open(uri)
    with Lease(out), Lease(run):
        claim_tables(loaded, run)
        found = sweep(recipe, run, out, points)
        _show(found, out, is_test=_is_test(loaded, recipe))


def sweep(recipe: Recipe, run: Store, out: Store, points: Sequence[Point]) -> dict[str, Any]:
    """Complete the images of a claimed run, tune and score every point on them; return the figures."""
    out.claim(recipe, OF_THE_PHOTOS)
    plan = stage.entries(points, run, out)
    missing = not all(entry.is_done() for entry in plan)
    with features_completed(recipe, run, out, stage.TABLES, scores=missing, tunes=missing):
        say(stage_line(stage.complete(plan, lambda report: say(stage_line(report)))))
    return stage.summary(points, plan, recipe, out)


def _to_choose_by(recipe: Recipe, dataset: str | None, split: str | None) -> Recipe:
    """The recipe with photos that are not its test set, unless that is what was asked for."""
    chosen = with_photos(recipe, dataset, split)
    if split is not None:
        return chosen
    if chosen.evaluate.dataset == "picturebook":
        return chosen.with_evaluate(split=DEVELOPMENT)
    raise UserError(
        f"a sweep chooses settings, and needs photos of {chosen.evaluate.dataset!r} that are not those of "
        "its test",
        "name their split with --split",
    )


def _is_test(recipe: Recipe, chosen: Recipe) -> bool:
    ours, theirs = recipe.evaluate, chosen.evaluate
    return (ours.dataset, ours.split) == (theirs.dataset, theirs.split)


def _show(found: dict[str, Any], out: Store, is_test: bool) -> None:
    from t2ipal.evaluation import sweep_report

    out.write_json(REPORT, {**found, "chosen_on_test": is_test})
    out.write_bytes(TABLE, sweep_report.csv_text(found).encode())
    out.write_bytes(PLOT, sweep_report.plot(found))
    say(f"{found['dataset']}, {found['split']} ({found['images']} images)")
    say(sweep_report.table(found))
    if is_test:
        say("these are the test photos: the best of these figures is no measure of how good it is")
    say(f"figures, plot and predictions in {out.uri}")


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Tune with many settings on the features of one run.",
        epilog="values are written as in a recipe: numbers, words, true, false, null",
    )
    parser.add_argument("--recipe", default=str(DEFAULT_RECIPE), help="a YAML file; default: %(default)s")
    parser.add_argument("--run", help="the run whose images are learned from; default: the recipe's `run`")
    parser.add_argument("--out", required=True, help="folder or s3://, gs:// URI of the sweep")
    parser.add_argument(
        "--set", action="append", required=True, metavar="KEY=VALUE,VALUE",
        help="a field of `methods` or `tune` and its values; several make a grid",
    )  # fmt: skip
    parser.add_argument("--dataset", help="photos other than the recipe's: a folder, or `picturebook`")
    parser.add_argument("--split", help=f"of the photos, to choose by; default: {DEVELOPMENT} of picturebook")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
