"""Tables that all processes of a machine share: one of them writes the files, all map them into memory.

    <folder for temporary files>/t2ipal-<user id>/<key>/     holds the lock, and the files of large tables
    /dev/shm/t2ipal-<user id>/<key>/                         the files of small ones, which are memory

Nobody has a copy of his own: of files in memory there is one for all, and of files on a disk the operating
system keeps in memory what there is room for. They are written a chunk at a time. Whoever reads them holds a
shared lock on the folder, and the last one removes it; what killed processes left is used by the next one
that asks for the same, and removed by one that asks for something else.
"""

import fcntl
import json
import os
import shutil
import tempfile
import time
import warnings
import weakref
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from t2ipal.errors import UserError
from t2ipal.recipe import Place

MEMORY = Path("/dev/shm")
PAUSE_S = 0.02
SHARE_OF_MEMORY = 0.25  # of what is free there, at most, unless a recipe asks for it

Chunk = Mapping[str, NDArray[np.generic]]  # rows of tables by name; each name always has rows of one shape
Chunks = Callable[[], Iterable[Chunk]]

_INDEX = "tables.json"  # where the files are, with type and shape of each; written last


class NodeTables(dict[str, Tensor]):
    """Tables by name, read-only. The files stay as long as this is held."""

    def __init__(self, tables: Mapping[str, Tensor], lock: int, folder: Path) -> None:
        super().__init__(tables)
        weakref.finalize(self, _release, lock, folder)


def node_tables(key: str, place: Place, size: int, chunks: Chunks) -> NodeTables:
    """Return the tables of a key, from `chunks` where they are not on this machine yet.

    `size`, in bytes, is about what they take; UserError where there is no room for them.
    """
    root = Path(tempfile.gettempdir()) / f"t2ipal-{os.getuid()}"
    root.mkdir(mode=0o700, exist_ok=True)
    folder = root / key
    _sweep(root, folder)
    while True:
        lock = _locked(folder, fcntl.LOCK_SH)  # waits while somebody writes
        if (folder / _INDEX).exists():
            return NodeTables(_open(folder), lock, folder)
        os.close(lock)
        try:
            lock = _locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # somebody else is about to write
            time.sleep(PAUSE_S)
            continue
        try:
            if not (folder / _INDEX).exists():
                _write(folder, _place(folder, place, size), chunks)
        except BaseException:
            _remove(folder)
            raise
        finally:
            os.close(lock)


def _locked(folder: Path, kind: int) -> int:
    """Create a folder and lock it; the lock is a file descriptor."""
    while True:
        folder.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(lock, kind)
            except BaseException:
                os.close(lock)
                raise
            if _is_there(lock, folder):
                return lock
            os.close(lock)  # it was removed while we waited


def _is_there(lock: int, folder: Path) -> bool:
    return folder.exists() and os.path.samestat(os.fstat(lock), os.stat(folder))


def _release(lock: int, folder: Path) -> None:
    """Give up a lock; the last one to do so removes the folder."""
    with suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_there(lock, folder):
            _remove(folder)
    os.close(lock)


def _sweep(root: Path, kept: Path) -> None:
    """Remove what no process uses."""
    for folder in root.iterdir():
        if folder != kept:
            with suppress(FileNotFoundError):
                _release(os.open(folder, os.O_RDONLY | os.O_DIRECTORY), folder)


def _remove(folder: Path) -> None:
    shutil.rmtree(_in_memory(folder), ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def _in_memory(folder: Path) -> Path:
    return MEMORY / folder.parent.name / folder.name


def _place(folder: Path, place: Place, size: int) -> Path:
    """Where the files go."""
    if place != "disk" and MEMORY.is_dir():
        free = shutil.disk_usage(MEMORY).free
        if size <= (free if place == "memory" else SHARE_OF_MEMORY * free):
            return _in_memory(folder)
    free = shutil.disk_usage(folder).free
    if place == "memory":
        raise UserError(
            f"{_needed(size)}, and shared memory (/dev/shm) has less", "set tune.features to disk, or to auto"
        )
    if size > free:
        raise UserError(
            f"{_needed(size)}, and the folder {str(folder.parent)!r} has less",
            "make room there, or let the environment variable TMPDIR name a folder that has it",
        )
    return folder


def _needed(size: int) -> str:
    return f"the features to tune on take {size / 2**30:.1f} GiB"


def _write(folder: Path, target: Path, chunks: Chunks) -> None:
    """Append chunk after chunk to a file for each table."""
    shutil.rmtree(_in_memory(folder), ignore_errors=True)  # half written, by one that was killed
    for file in folder.iterdir():
        file.unlink()
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    index: dict[str, tuple[str, list[int]]] = {}
    for chunk in chunks():
        for name, rows in chunk.items():
            with open(target / name, "ab") as out:
                out.write(np.ascontiguousarray(rows).data.cast("B") if rows.size else b"")
            count = index[name][1][0] if name in index else 0
            index[name] = (rows.dtype.str, [count + len(rows), *rows.shape[1:]])
    (folder / _INDEX).write_text(json.dumps({"folder": str(target), "tables": index}))


def _open(folder: Path) -> dict[str, Tensor]:
    found = json.loads((folder / _INDEX).read_text())
    return {
        name: _mapped(Path(found["folder"]) / name, np.dtype(kind), tuple(shape))
        for name, (kind, shape) in found["tables"].items()
    }


def _mapped(path: Path, kind: "np.dtype[np.generic]", shape: tuple[int, ...]) -> Tensor:
    if 0 in shape:  # an empty file cannot be mapped
        return torch.from_numpy(np.empty(shape, kind))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(np.memmap(path, kind, "r", shape=shape))
