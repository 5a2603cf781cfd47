"""Train the picture world's models from seeds: `python -m t2ipal.picturebook.build [model ...]`.

A training that was cut off goes on from its last checkpoint; one that ended is not repeated.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline

from t2ipal.errors import UserError
from t2ipal.picturebook import train_autoencoder, train_clip, train_painter, train_writer, weights
from t2ipal.picturebook.fit import Progress, finished

IMPROVED = "improved"  # the course of --improve, whose checkpoints are not those of the first


def build_clip(work: Path) -> Progress:
    """Train and save the CLIP."""
    model, progress = train_clip.train("clip", train_clip.SHORT, work)
    train_clip.save(model, weights.FOLDER / "clip")
    return progress


def build_writer(work: Path) -> Progress:
    """Train and save the caption writer."""
    model, progress = train_writer.train(work)
    train_writer.save(model, weights.FOLDER / "writer")
    return progress


def build_painter(work: Path) -> Progress:
    """Train a CLIP for its text tower and the autoencoder, then the UNet between them; save the pipeline."""
    clip, _ = train_clip.train("tower", train_clip.LONG, work)
    autoencoder, _ = train_autoencoder.train(work)
    return _paint_and_save(train_painter.untrained(clip, autoencoder), work, "painter")


def improve_painter(work: Path) -> Progress:
    """Train the UNet of the pipeline in the repository for another course; save the pipeline.

    UserError when the course of this work folder has ended: it would make no step.
    """
    if finished(IMPROVED, train_painter.SCHEDULE, work):
        raise UserError(
            f"the painter has been improved in {str(work)!r} already", "give --work another folder"
        )
    folder = weights.resolve("picturebook:painter")
    painter = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    return _paint_and_save(painter, work, IMPROVED)


def _paint_and_save(untrained: StableDiffusionPipeline, work: Path, name: str) -> Progress:
    painter, progress = train_painter.train(untrained, work, name)
    train_painter.save(painter, weights.FOLDER / "painter")
    return progress


BUILDERS: dict[str, Callable[[Path], Progress]] = {
    "clip": build_clip,
    "writer": build_writer,
    "painter": build_painter,
}


def main(argv: list[str] | None = None) -> None:
    """Train the named models."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "models", nargs="*", metavar="model", help=f"of {', '.join(BUILDERS)}; all if none is named"
    )
    parser.add_argument(
        "--improve",
        action="store_true",
        help="train the repository's painter further; each time in a new work folder",
    )
    parser.add_argument(
        "--work", type=Path, default=Path("runs/picturebook"), help="drawn scenes and checkpoints"
    )
    arguments = parser.parse_args(argv)
    if unknown := set(arguments.models) - set(BUILDERS):
        parser.error(f"no such model: {', '.join(sorted(unknown))}")
    if arguments.improve and (others := set(arguments.models) - {"painter"}):
        parser.error(f"only the painter can be improved, not {', '.join(sorted(others))}")
    builders = {"painter": improve_painter} if arguments.improve else BUILDERS
    for name, builder in builders.items():
        if name in (arguments.models or builders):
            try:
                _write_note(name, builder(arguments.work))
            except UserError as error:
                parser.error(str(error))


def _write_note(name: str, progress: Progress) -> None:
    note = {
        "steps": progress.step,
        "samples": progress.samples,
        "seconds": round(progress.seconds),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
    }
    (weights.FOLDER / name / "training.json").write_text(json.dumps(note) + "\n")


if __name__ == "__main__":
    main()
