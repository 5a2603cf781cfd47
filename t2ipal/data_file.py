"""Reading files of data that people bring: lines of text, JSON, one JSON object a line.

Whatever is wrong with them is a UserError that names the file and the line or the place in it.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn, TypeVar

import msgspec

from t2ipal.errors import UserError

_BOM = b"\xef\xbb\xbf"  # which some editors put before the first line

Shape = TypeVar("Shape")


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a UTF-8 file, with their ends, and their numbers from 1.

    Raises UserError when the file cannot be opened, or at the first line that is not UTF-8.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise _unreadable(path, error) from error
    with file:
        for number, line in enumerate(file, 1):
            try:
                yield number, (line.removeprefix(_BOM) if number == 1 else line).decode()
            except UnicodeDecodeError as error:
                raise UserError(
                    f"{path}, line {number} is not UTF-8 text: {error}", "save the file as UTF-8"
                ) from error


def read_json(path: Path, shape: type[Shape], remedy: str) -> Shape:
    """Return what a JSON file says of the fields of `shape`; all its other content is passed over unread.

    `remedy` says what to do about a file that is damaged or holds something else. The file is mapped, not
    read: only what is returned takes memory.
    """
    try:
        with path.open("rb") as file:
            if not path.stat().st_size:  # which cannot be mapped
                raise UserError(f"{path} is empty", remedy)
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _decode(path, data, shape, remedy)
    except OSError as error:
        raise _unreadable(path, error) from error


def read_json_lines(path: Path, shape: type[Shape], remedy: str) -> Iterator[tuple[int, Shape]]:
    """Yield the object of every line of a JSONL file, with its line's number; empty lines are passed over."""
    decoder = msgspec.json.Decoder(shape)
    for number, line in read_lines(path):
        if not line.strip():
            continue
        try:
            yield number, decoder.decode(line)
        except msgspec.DecodeError as error:
            raise UserError(f"{path}, line {number} is not readable: {error}", remedy) from error


def _decode(path: Path, data: mmap.mmap, shape: type[Shape], remedy: str) -> Shape:
    try:
        return msgspec.json.decode(data, type=shape)
    except msgspec.DecodeError as error:
        raise UserError(f"{path} is not readable: {error}", remedy) from error
    except UnicodeDecodeError as error:
        _refuse_encoding(path, data[:], error)


def _refuse_encoding(path: Path, data: bytes, error: UnicodeDecodeError) -> NoReturn:
    """Say where: the decoder's own error counts from the beginning of a string."""
    at = error.start
    try:
        data.decode()
    except UnicodeDecodeError as whole:
        at = whole.start
    line = data.count(b"\n", 0, at) + 1
    raise UserError(f"{path}, line {line} (byte {at}) is not UTF-8 text", "save the file as UTF-8") from error


def _unreadable(path: Path, error: OSError) -> UserError:
    return UserError(f"cannot read {str(path)!r}: {error.strerror}", "check the path and its permissions")
