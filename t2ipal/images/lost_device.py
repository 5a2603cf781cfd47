"""A device that is lost to its process: after some errors of CUDA nothing succeeds until a new one begins.

What a worker raises ends a job of Ray Data; a worker that is gone is replaced, and its shard is made again.
So such a process ends itself. A shard that costs one process after another ends the job after all: how many
it has cost is noted in the run, as none of them remembers.
"""

import os
import sys
from typing import NoReturn

from t2ipal.errors import UserError
from t2ipal.shards import Shards

MOST_LOST = 3  # processes over one shard, in one run of the stage
_NOTES = "_lost"  # beside the rows; readers of Parquet folders pass over it


class DeviceLostError(Exception):
    """Nothing will succeed on this device in this process any more: rows are not to blame."""


def end_process(shards: Shards, name: str, error: DeviceLostError) -> NoReturn:
    """End this process, which was at work on a shard. Raises UserError when the shard has cost too many."""
    note, store = f"{_folder(shards)}/{name}.json", shards.store
    lost = 1 + (store.find_json(note) or {"processes": 0})["processes"]
    if lost >= MOST_LOST:
        raise UserError(
            f"{shards.stage}: {lost} processes lost their device over the shard {name!r}: {error}",
            "look at the machine's GPU and its driver, then give the same command: what is finished is kept",
        ) from error
    store.write_json(note, {"processes": lost, "error": str(error)})
    print(f"{shards.stage}: this process lost its device and ends: {error}", file=sys.stderr, flush=True)
    os._exit(1)  # at once: what the libraries would still do on their way out may wait for the device


def forget_losses(shards: Shards) -> None:
    """Begin to count anew."""
    for file in shards.store.files(_folder(shards)):
        shards.store.delete(f"{_folder(shards)}/{file.base_name}")


def _folder(shards: Shards) -> str:
    return f"{shards.stage}/{_NOTES}"
