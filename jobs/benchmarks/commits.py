"""How fast a stage or a bare engine went, from when its rows were done."""

from collections.abc import Iterable, Sequence

from pyarrow import fs

from t2ipal.shards import Shards


def commits(shards: Shards) -> dict[str, float]:
    """Return when each shard of a table was committed, in seconds, in the order of time."""
    selector = fs.FileSelector(shards.store.path(f"{shards.stage}/_manifests"))
    files = shards.store.filesystem.get_file_info(selector)
    times = {file.base_name.removesuffix(".json"): file.mtime_ns / 1e9 for file in files if file.is_file}
    return dict(sorted(times.items(), key=lambda item: item[1]))


def seconds_per_row(times: Sequence[float], rows: int) -> float:
    """Return the seconds for each row from the first shard on; `times` is when each shard of `rows` rows was
    done.
    """
    if len(times) < 2:
        raise ValueError(f"{len(times)} shards of {rows} rows are too few; give more --rows")
    return (times[-1] - times[0]) / ((len(times) - 1) * rows)


def seconds_per_row_of_a_call(start: float, done: Iterable[float], under_way: int) -> float:
    """Return the seconds for each row of a call that began at `start`, from when each of them was done, in
    any order.

    The time ends when no more than `under_way` rows remain, which an engine works at together. They are
    counted as if they were done, so the engine seems faster than it is by less than their share of all.
    """
    times = sorted(done)
    if len(times) <= under_way:
        raise ValueError(
            f"{len(times)} rows are too few to tell how fast an engine is that works at {under_way} "
            "together; give more --rows"
        )
    return (times[len(times) - under_way - 1] - start) / len(times)
