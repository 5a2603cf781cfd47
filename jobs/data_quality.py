"""What the generated data are worth, on the drawn world, where a judge can tell.

    uv run jobs/data_quality.py --out runs/data_quality
    uv run jobs/data_quality.py --out runs/data_quality 384x2 768x2 384x2/lowest=0.2 384x2/top=3

A variant is CAPTIONSxIMAGES: how many captions are painted, how many images of each, and behind a slash the
agreement filter. Each is painted whole, its images are shown to a supervised judge that no method may ask,
and t2i_pal is tuned on them with several seeds. Quality is measured on development scenes, so that the test
scenes choose nothing. The first variant is what the others are compared with. The same command goes on where
it was interrupted.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jobs.checks import check_run_uri
from jobs.console import say
from jobs.data_tables import tables
from jobs.evaluate import SEEDS, evaluate
from jobs.exit_code import exit_code
from jobs.pipeline import DEFAULT_RECIPE
from jobs.variants import Variant, parse_variant
from t2ipal.errors import UserError
from t2ipal.lease import Lease
from t2ipal.recipe import Recipe, load_recipe
from t2ipal.run_files import CAPTION_REPORT
from t2ipal.stages import compare, features, images
from t2ipal.stages.changed_recipe import claim_tables
from t2ipal.store import Store

VARIANTS = ("384x2", "384x2/lowest=0.1", "384x2/lowest=0.3", "384x2/top=3", "384x1", "768x1")
METHOD = "t2i_pal"
SPLIT = "dev"
DRAWN = 1000  # scenes drawn by our own code, for what the judge finds at best
FIGURES = "data_quality.json"
SIDE = 32  # pixels of the judge's images


@dataclass(frozen=True)
class Place:
    """Where a variant's rows and figures are; variants that differ in their filter share a run."""

    variant: Variant
    recipe: Recipe
    run: Store
    out: Store


def main(argv: list[str] | None = None) -> int:
    """Run the study; return its exit code."""
    arguments = _parse(argv)
    return exit_code(lambda: _job(arguments))


def _job(arguments: argparse.Namespace) -> None:
    recipe = load_recipe(arguments.recipe).with_evaluate(split=SPLIT)
    _check(recipe)
    check_run_uri(arguments.out)
    out = Store.open(arguments.out)
    with Lease(out):
        figures = study(recipe, arguments.out, arguments.variants, arguments.seeds, Path(arguments.work))
        out.write_json(FIGURES, figures)
    say(tables(figures))
    say(f"figures in {out.uri}/{FIGURES}")


def study(recipe: Recipe, folder: str, variants: Sequence[Variant], seeds: int, work: Path) -> dict[str, Any]:
    """Paint, tune and inspect every variant; return the figures. `work` keeps the judge and its scenes."""
    from t2ipal.picturebook.judge import train

    found: list[dict[str, Any]] = []
    model, first = train(work), None
    for variant in variants:
        place = _place(recipe, folder, variant)
        say(f"--- {variant.name}")
        with Lease(place.out), Lease(place.run):
            claim_tables(place.recipe, place.run)
            metrics = evaluate(place.recipe, place.run, place.out, [METHOD], seeds)
            first = first or place
            found.append(
                {
                    "variant": variant.name,
                    "mAP": metrics["methods"][METHOD]["mAP"],
                    "difference": _difference(place, first, seeds),
                    **_inspected(place, model),
                }
            )
    assert first is not None
    return {
        "method": METHOD,
        "split": SPLIT,
        "captions": first.run.read_json(CAPTION_REPORT),
        "drawn": _drawn(model, work),
        "variants": found,
    }


def _place(recipe: Recipe, folder: str, variant: Variant) -> Place:
    given = variant.of(recipe)
    run = Store.open(f"{folder}/{variant.painted}/run")
    return Place(variant, given, run, Store.open(f"{folder}/{variant.painted}/{variant.filter or 'all'}"))


def _difference(ours: Place, theirs: Place, seeds: int) -> dict[str, float] | None:
    """The difference in mAP to the first variant and its bootstrap interval, on the same scenes."""
    from t2ipal.evaluation.bootstrap import difference
    from t2ipal.evaluation.comparison import resample, test_labels
    from t2ipal.vocabulary import Vocabulary

    if ours.variant == theirs.variant:
        return None
    names = [f"{METHOD}-seed-{seed}" for seed in range(seeds)]
    labels = test_labels(ours.out.shards(features.TEST), len(Vocabulary.load(ours.recipe.vocabulary)))
    maps = [resample(place.out.shards(compare.TABLE), names, labels) for place in (ours, theirs)]
    return difference(*maps)._asdict()


def _inspected(place: Place, model: Any) -> dict[str, Any]:
    """What the judge says of the images that tuning sees."""
    from t2ipal.picturebook.inspection import inspect_table
    from t2ipal.tuning.agreement import left_out
    from t2ipal.tuning.source import SYNTHETIC, planned_images

    names = [shard.name for shard in planned_images(place.recipe, place.run)]
    painted = inspect_table(model, place.run.shards(images.STAGE), names)
    kept = painted.without(left_out(place.recipe, place.run, SYNTHETIC))
    return {"painted": len(painted), **_figures(kept)}


def _drawn(model: Any, work: Path) -> dict[str, Any]:
    """What it says of scenes that were drawn, with the labels that they were drawn from."""
    import torch

    from t2ipal.picturebook.drawn import drawn
    from t2ipal.picturebook.inspection import inspect

    scenes = drawn("photo", SPLIT, DRAWN, work)
    named = torch.from_numpy(scenes.labels).bool()
    return _figures(inspect(model, list(scenes.images), named, [str(row) for row in range(len(scenes))]))


def _figures(found: Any) -> dict[str, Any]:
    return {
        "images": len(found),
        "all_found": float(found.all_found().float().mean()),
        "foreign": float(found.foreign().float().mean()),
        "classes": {name: asdict(each) for name, each in found.by_class().items()},
    }


def _check(recipe: Recipe) -> None:
    """Raise UserError where the judge would be asked what it does not know."""
    if recipe.vocabulary != "picturebook" or recipe.images.height_and_width != (SIDE, SIDE):
        raise UserError(
            f"the judge knows the classes of the drawn world, in images of {SIDE} pixels, and no others",
            "give a recipe with vocabulary: picturebook and images.size: 32, such as the default one",
        )


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What the generated data are worth.")
    parser.add_argument(
        "variants",
        nargs="*",
        type=_variant,
        default=[parse_variant(each) for each in VARIANTS],
        help=f"default: {' '.join(VARIANTS)}",
    )
    parser.add_argument("--recipe", default=str(DEFAULT_RECIPE), help="default: %(default)s")
    parser.add_argument("--out", required=True, help="folder of the study")
    parser.add_argument("--work", default="runs/picturebook", help="drawn scenes and the judge")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="of tuning; default: %(default)s")
    return parser.parse_args(argv)


def _variant(text: str) -> Variant:
    try:
        return parse_variant(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


if __name__ == "__main__":
    sys.exit(main())
