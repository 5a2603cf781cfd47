"""How fast a stage went, from when its shards were committed."""

from collections.abc import Sequence

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
