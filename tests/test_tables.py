import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from t2ipal import tables


@pytest.mark.parametrize("name", ["CAPTIONS", "IMAGES", "FEATURES", "TEST_FEATURES", "PREDICTIONS"])
def test_schema_survives_parquet(name):
    schema = getattr(tables, name)
    buffer = io.BytesIO()
    pq.write_table(schema.empty_table(), buffer)
    assert pq.read_schema(pa.BufferReader(buffer.getvalue())).equals(schema)


def test_half_precision_features_survive_parquet():
    features = np.linspace(-1, 1, 12, dtype=np.float16)
    row = {"image_id": "c0-0", "labels": [1], "global": features[:4], "patches": features}
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([row], schema=tables.FEATURES), buffer)
    column = pq.read_table(pa.BufferReader(buffer.getvalue()))["patches"].combine_chunks()
    np.testing.assert_array_equal(column.flatten().to_numpy(), features)
