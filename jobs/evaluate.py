"""Which recognizer is best, by how much, and how sure that is.

    uv run jobs/evaluate.py --out runs/table                                the default methods, 3 seeds
    uv run jobs/evaluate.py --out runs/table --methods all                  with every ablation
    uv run jobs/evaluate.py --out runs/table --methods limited              few shots, few labels
    uv run jobs/evaluate.py --out runs/table --methods t2i_pal,zero_shot --recipe mine.yaml --split dev
    uv run jobs/evaluate.py --out runs/mine --bundle runs/offline/bundle --dataset photos --split test

Captions, images and their features are those of the recipe's run, which is completed first where something is
missing. Everything else goes into the folder of --out: features of the photos, tuned parameters, predictions,
and metrics.json. The same command goes on where it was interrupted.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from jobs.checks import check_run_uri
from jobs.console import say, stage_line
from jobs.exit_code import exit_code
from jobs.inputs import OF_THE_PHOTOS, features_completed, session, with_photos
from jobs.pipeline import DEFAULT_RECIPE
from jobs.preflight import check_paths
from t2ipal.lease import Lease
from t2ipal.method_names import ABLATIONS, STANDARDISED, TUNED, UNTUNED, WITHOUT, Limit, parse_name
from t2ipal.recipe import Recipe, load_recipe
from t2ipal.stages import compare, features
from t2ipal.stages.changed_recipe import claim_tables
from t2ipal.store import Store

METRICS = "metrics.json"
SEEDS = 3

DEFAULT = [
    *(each for name in UNTUNED for each in (name, name + STANDARDISED)),
    *TUNED,
    "supervised",
]
ALL = [*DEFAULT, *(f"{name}{WITHOUT}{part}" for name, parts in ABLATIONS.items() for part in parts)]
# As the papers' tables: photos of each class, and per cent of all labels.
LIMITS = [
    *(Limit("shots", count) for count in (1, 2, 4, 8, 16)),
    *(Limit("labels", x) for x in (10, 30, 50, 70, 90)),
]
FEW = ["t2i_pal", *(f"{name}{limit}" for name in ("dual_coop", "t2i_pal+dual_coop") for limit in LIMITS)]
GROUPS = {"default": DEFAULT, "all": ALL, "limited": FEW}


def main(argv: list[str] | None = None) -> int:
    """Run the comparison; return its exit code."""
    arguments = _parse(argv)
    return exit_code(lambda: _job(arguments))


def _job(arguments: argparse.Namespace) -> None:
    loaded = load_recipe(arguments.recipe)
    recipe = with_photos(loaded, arguments.dataset, arguments.split)
    names = _names(arguments.methods)
    check_paths(recipe)
    check_run_uri(arguments.out)
    out = Store.open(arguments.out)
    with Lease(out):
        if arguments.bundle:
            metrics = evaluate_bundle(arguments.bundle, recipe, out)
        else:
            uri = arguments.run or recipe.run
            check_run_uri(uri)
            run = Store.open(uri)
            with Lease(run):
                # What a comparison takes from it. A job of the same recipe goes on with the run: it has the
                # recipe's own photos.
                claim_tables(loaded, run)
                metrics = evaluate(recipe, run, out, names, arguments.seeds)
    _show(metrics, out)


def evaluate(recipe: Recipe, run: Store, out: Store, names: Sequence[str], seeds: int) -> dict[str, Any]:
    """Complete the images of a claimed run, tune and score every method on them; return the figures."""
    out.claim(recipe, OF_THE_PHOTOS)
    plan = compare.entries(recipe, run, out, names, seeds)
    missing = [entry for entry in plan if not entry.is_done()]
    tunes = any(entry.is_tuned for entry in missing)
    with features_completed(recipe, run, out, compare.tables(names), scores=bool(missing), tunes=tunes):
        for report in compare.complete(plan):
            say(stage_line(report))
    return compare.summary(plan, recipe, out)


def evaluate_bundle(uri: str, recipe: Recipe, out: Store) -> dict[str, Any]:
    """Score a finished recognizer on the recipe's photos; return the figures."""
    from t2ipal import Recognizer

    recognizer = Recognizer.load(uri)
    card = recognizer.card
    recipe = recipe.model_copy(update={"vocabulary": card.classes, "backbone": card.backbone})
    out.claim(recipe, OF_THE_PHOTOS)
    tables = (features.TEST,)
    with session(recipe, [features.STAGE] if features.pending(recipe, out, tables) else []):
        say(stage_line(features.run(recipe, out, tables)))
    return compare.of_recognizer(recognizer, recipe, out)


def _show(metrics: dict[str, Any], out: Store) -> None:
    from t2ipal.evaluation.report import table

    out.write_json(METRICS, metrics)
    say(f"{metrics['dataset']}, {metrics['split']} ({metrics['images']} images)")
    say(table(metrics))
    say(f"figures and predictions in {out.uri}")


def _names(text: str) -> list[str]:
    names = [name for each in text.split(",") for name in GROUPS.get(each.strip(), [each.strip()])]
    for name in names:
        parse_name(name)
    return list(dict.fromkeys(names))


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Compare recognizers on labelled photos.",
        epilog=f"methods: {', '.join(ALL)}, dual_coop; with few labels, for example, "
        "dual_coop-shots-4, dual_coop-labels-10, t2i_pal+dual_coop-shots-4",
    )
    parser.add_argument("--recipe", default=str(DEFAULT_RECIPE), help="a YAML file; default: %(default)s")
    parser.add_argument("--run", help="the run whose images are learned from; default: the recipe's `run`")
    parser.add_argument("--out", required=True, help="folder or s3://, gs:// URI of the comparison")
    parser.add_argument(
        "--methods",
        default="default",
        help="comma-separated; `default`, `all` (with the ablations) and `limited` stand for many",
    )
    parser.add_argument("--seeds", type=_positive, default=SEEDS, help="of tuning; default: %(default)s")
    parser.add_argument("--bundle", help="score this finished recognizer instead of tuning any")
    parser.add_argument("--dataset", help="photos other than the recipe's: a folder, or `picturebook`")
    parser.add_argument("--split", help="of the photos; default: the recipe's")
    return parser.parse_args(argv)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 1 or more")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
