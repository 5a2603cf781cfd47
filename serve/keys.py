"""API keys: who may ask. Only their hashes are kept.

python -m serve.keys NAME    prints a new key, and the line that lets it in
"""

import argparse
import hashlib
import hmac
import os
import re
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from t2ipal.errors import UserError
from t2ipal.serve_recipe import KeySettings

_LINE = re.compile(r"([\w.-]+):([0-9a-f]{64})")
_PREFIX = "t2ipal-"  # so that scanners for leaked secrets find them


class Keys:
    """Owners and the hashes of their keys; an owner may have several."""

    def __init__(self, hashes: Sequence[tuple[str, str]]) -> None:
        self._hashes = list(hashes)

    @classmethod
    def load(cls, settings: KeySettings) -> Self:
        """Read them from the file or the environment variable; UserError where there are none."""
        if settings.file is not None:
            source = f"the file {settings.file!r}"
            try:
                lines = Path(settings.file).expanduser().read_text().splitlines()
            except OSError as error:
                raise UserError(f"keys.file: {error}", "write it by `python -m serve.keys NAME`") from error
        else:
            source = f"the environment variable {settings.variable}"
            lines = re.split(r"[\n,]", os.environ.get(settings.variable or "", ""))
        said = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
        found = [_LINE.fullmatch(line) for line in said]
        if not said or None in found:
            raise UserError(
                f"keys: {source} does not hold lines NAME:SHA256",
                "write each by `python -m serve.keys NAME`",
            )
        return cls([(match[1], match[2]) for match in found if match is not None])

    def owner(self, authorization: str) -> str | None:
        """Return whose key an Authorization header holds ("Bearer KEY"), or None.

        It takes as long for any key: no time tells how much of one was right.
        """
        scheme, _, key = authorization.partition(" ")
        given = _hash(key.strip())
        fits = [name for name, known in self._hashes if hmac.compare_digest(known, given)]
        return fits[0] if fits and scheme.lower() == "bearer" else None


def _hash(key: str) -> str:
    """Return the hex SHA-256: the keys are random, so that a slow hash would add nothing."""
    return hashlib.sha256(key.encode()).hexdigest()


def main(argv: list[str] | None = None) -> int:
    """Print a new key and its line."""
    parser = argparse.ArgumentParser(description="Make an API key.")
    parser.add_argument("name", help="of its owner: letters, digits, . _ -")
    name = parser.parse_args(argv).name
    key = _PREFIX + secrets.token_urlsafe(32)
    line = f"{name}:{_hash(key)}"
    if not _LINE.fullmatch(line):
        parser.error(f"the name {name!r} holds other characters than letters, digits, . _ -")
    print(f"the key, which is shown only now:  {key}")
    print(f"its line for the file of keys:     {line}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
