"""How fast a stage went, from when its shards were committed."""

from dataclasses import dataclass

from pyarrow import fs

from t2ipal.shards import Shards


@dataclass(frozen=True)
class Commit:
    """A finished shard: when its manifest was written, in seconds, and how many rows were planned for it."""

    time: float
    rows: int


def commits(shards: Shards, rows: int) -> list[Commit]:
    """Return the commits of a table in the order of time; `rows` are planned for every shard."""
    selector = fs.FileSelector(shards.store.path(f"{shards.stage}/_manifests"))
    files = shards.store.filesystem.get_file_info(selector)
    times = sorted(file.mtime_ns / 1e9 for file in files if file.extension == "json")
    return [Commit(time, rows) for time in times]


def seconds_per_row(done: list[Commit], under_way: int = 0) -> float:
    """Return the seconds for each row in the steady state, from the first commit on.

    `under_way` is the number of rows at which the engine works at once: as many are under way when the first
    shard is committed, so the measurement ends when no more than that remain.
    """
    left, last = 0, len(done) - 1
    while last > 1 and left + done[last].rows <= under_way:
        left += done[last].rows
        last -= 1
    if last < 1:
        raise ValueError("two commits are needed to tell how fast a stage is")
    return (done[last].time - done[0].time) / sum(each.rows for each in done[1 : last + 1])
