"""The table of a stage in one piece."""

import pyarrow as pa

from t2ipal.shards import Shards


def read_all(shards: Shards) -> pa.Table:
    """Every finished shard, in name order."""
    return pa.concat_tables([shards.read(name) for name in shards.done()])
