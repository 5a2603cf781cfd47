"""A finished recognizer over a folder or bucket of images.

    uv run jobs/label.py photos labels --recognizer runs/offline/bundle
    uv run jobs/label.py s3://bucket/photos s3://bucket/labels --recognizer s3://runs/mine/bundle --gpus 1

Labels, probabilities and places are those that the endpoint gives. They are written in shards, which the
same command goes on with, as Parquet, and with --format also as JSON lines or in COCO's format.
"""

import argparse
import sys
import time

from jobs.checks import check_run_uri
from jobs.console import say, stage_line
from jobs.exit_code import exit_code
from jobs.ray_session import RaySession
from t2ipal.bundle import Bundle
from t2ipal.errors import UserError
from t2ipal.filesystems import connect
from t2ipal.labelling.export import FILES, export
from t2ipal.labelling.plan import Files, Labelling
from t2ipal.lease import Lease
from t2ipal.recipe import RayRecipe
from t2ipal.section import Workers
from t2ipal.serve_recipe import EndpointSettings
from t2ipal.stages import label
from t2ipal.stages.report import StageReport
from t2ipal.store import Store

TOLD = 5  # broken images that are named at the end


def main(argv: list[str] | None = None) -> int:
    """Label the images; return the exit code."""
    arguments = _parse(argv)
    return exit_code(lambda: _job(arguments))


def _job(arguments: argparse.Namespace) -> None:
    check_run_uri(arguments.images, "folder of images", "IMAGES")
    check_run_uri(arguments.out, "folder of labels", "OUT")
    check_run_uri(arguments.recognizer, "recognizer", "--recognizer")
    _check_apart(arguments.images, arguments.out)
    bundle = Bundle.read(arguments.recognizer)
    settings = _settings(arguments, bundle)
    out = Store.open(arguments.out)
    with Lease(out):
        settings.claim(out)
        files = Files.planned(arguments.images, out, arguments.shard_rows)
        say(f"{len(files.names)} images in {arguments.images}")
        say(f"recognizer {bundle.card.name}, version {bundle.version}")
        start = time.monotonic()
        report = _label(arguments, settings, files, out)
        say(stage_line(report))
        if not report.already_complete:
            say(_price(report, time.monotonic() - start, arguments.dollars_per_hour))
        for name, reason in label.broken(files, out, TOLD):
            say(f"  {name}: {reason}")
        if arguments.format != "parquet":
            export(out, settings, list(files.by_shard()), arguments.format)
        said = "labels/*.parquet" if arguments.format == "parquet" else FILES[arguments.format]
        say(f"labels in {out.uri_of(said)}")


def _check_apart(images: str, out: str) -> None:
    """Raise UserError for labels among the images: the next run would take them for images."""
    root, folder = (connect(uri)[2].rstrip("/") + "/" for uri in (images, out))
    if folder.startswith(root):
        raise UserError(f"the labels in {out!r} would lie among the images", "give a folder beside them")


def _label(arguments: argparse.Namespace, settings: Labelling, files: Files, out: Store) -> StageReport:
    workers = Workers(min=1, max=arguments.workers, cpus=arguments.cpus, gpus=arguments.gpus)
    pool = label.Pool(arguments.recognizer, workers)
    if not label.pending(files, out):
        return label.run(settings, files, pool, out)
    with RaySession(RayRecipe(num_cpus=arguments.ray_cpus), offline=False) as session:
        session.start()
        has = session.resources()
        if has.get("CPU", 0) < workers.cpus or has.get("GPU", 0) < workers.gpus:
            raise UserError(
                f"a worker asks for {workers.cpus:g} CPUs and {workers.gpus:g} GPUs, and Ray has "
                f"{has.get('CPU', 0):g} and {has.get('GPU', 0):g}",
                "lower --cpus or --gpus",
            )
        return label.run(settings, files, pool, out)


def _settings(arguments: argparse.Namespace, bundle: Bundle) -> Labelling:
    endpoint = EndpointSettings(gpus=arguments.gpus)
    return Labelling(
        images=connect(arguments.images)[2],
        version=bundle.version,
        threshold=arguments.threshold,
        top_k=arguments.top_k,
        names=tuple(arguments.name),
        max_pixels=endpoint.limits.image_pixels,
        at_once=arguments.at_once or endpoint.together,
        classes=tuple(bundle.card.classes),
    )


def _price(report: StageReport, seconds: float, dollars_per_hour: float | None) -> str:
    """Return the speed, and what a million images cost at a price."""
    images = int(report.notes["labelled"])
    text = f"  {images / report.seconds:.1f} images/s, {seconds:.0f} s with Ray's start"
    if dollars_per_hour is None:
        return text
    dollars = dollars_per_hour * seconds / 3600
    return f"{text}; ${dollars:.2f}, of a million images ${1e6 * dollars / images:.2f}"


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Label a folder or bucket of images.")
    parser.add_argument("images", help="folder or s3://, gs:// URI; all files below it")
    parser.add_argument("out", help="folder or s3://, gs:// URI of the labels")
    parser.add_argument("--recognizer", required=True, help="the bundle: a folder or URI")
    parser.add_argument("--format", choices=("parquet", *FILES), default="parquet")
    parser.add_argument("--threshold", type=float, help="probability, instead of each class's own threshold")
    parser.add_argument("--top-k", type=int, help="labels of an image at most")
    parser.add_argument("--name", action="append", default=[], help="a class never tuned on; may be repeated")
    parser.add_argument("--workers", type=int, default=1, help="at most; each loads the recognizer")
    parser.add_argument("--cpus", type=float, default=1.0, help="of a worker; default: %(default)s")
    parser.add_argument("--gpus", type=float, default=0.0, help="of a worker; default: %(default)s")
    parser.add_argument("--at-once", type=int, help="images computed together; default: as the endpoint's")
    parser.add_argument("--shard-rows", type=int, default=1000, help="of a shard; default: %(default)s")
    parser.add_argument("--ray-cpus", type=int, help="logical CPUs of a cluster of its own")
    parser.add_argument("--dollars-per-hour", type=float, help="price of the machines, for the cost")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
