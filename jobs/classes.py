"""Class names as they are given on a command line."""

import os
from pathlib import Path

from t2ipal.errors import UserError
from t2ipal.vocabulary import Vocabulary

YAML = (".yaml", ".yml")
FILES = (".txt", *YAML)


def class_names(text: str) -> dict[str, list[str]]:
    """Return the classes, each with its synonyms, of "forklift, pallet, hard hat" or of a file: of one name a
    line, or of YAML, a list or a mapping of names to synonyms.

    UserError for a file that cannot be read, and for names that make no vocabulary.
    """
    path = Path(text)
    if path.suffix in YAML:
        return Vocabulary.load(text).mapping()
    if path.suffix in FILES or os.path.isfile(text):  # which takes a text of any length
        return Vocabulary.load(_lines(path)).mapping()
    return Vocabulary.load([name.strip() for name in text.split(",")]).mapping()


def _lines(path: Path) -> list[str]:
    """Return a file's lines, but for those that are empty or comments."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the classes {str(path)!r}: {error}", "check the file's path") from error
    return [line for line in lines if line and not line.startswith("#")]
