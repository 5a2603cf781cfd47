"""Is a model's local folder whole? Asked before an engine spends a minute to find out less clearly."""

import json
from collections.abc import Sequence
from pathlib import Path

from t2ipal.errors import UserError


def check_model_folder(source: str, key: str, required: Sequence[str]) -> None:
    """Raise UserError unless the folder has the required files and its JSON and safetensors are readable.

    `key` is the recipe's key for the message. A source that is not a local path is a hub name and is not
    looked at. Only the headers of safetensors files are read; they state the size that the file must have.
    """
    folder = Path(source)
    if not _is_path(source):
        return
    if not folder.is_dir():
        raise UserError(f"{key}: there is no model folder {source!r}", "correct the path, or give a hub name")
    remedy = "copy the folder again"
    for name in required:
        if not (folder / name).is_file():
            raise UserError(f"{key}: the model folder {source!r} has no {name}", remedy)
    for path in sorted(folder.rglob("*")):
        try:
            _check_file(path)
        except Exception as error:
            raise UserError(f"{key}: {str(path)!r} is damaged: {error}", remedy) from error


def _is_path(source: str) -> bool:
    return source.startswith(("/", ".", "~")) or Path(source).exists()


def _check_file(path: Path) -> None:
    if path.suffix == ".json":
        json.loads(path.read_text(encoding="utf-8"))
    elif path.suffix == ".safetensors":
        from safetensors import safe_open

        with safe_open(path, framework="numpy"):  # compares the file's size with its header
            pass
