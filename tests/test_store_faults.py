"""Where a run is kept may be busy, full or read-only for a while: nothing is lost, and the user is told."""

import resource

import pyarrow as pa
import pytest

from t2ipal.errors import StoreError, UserError
from t2ipal.lease import LEASE_FILE, Lease
from t2ipal.store import Store
from tests.s3_server import FULL, READ_ONLY

TABLE = pa.table({"id": ["a", "b", "c"]})


@pytest.fixture
def run(s3, tmp_path):
    return Store.open(s3.uri(tmp_path.name))


def test_requests_that_fail_now_and_then_are_repeated(s3, run):
    names = [f"s-{i}" for i in range(10)]
    before = len(s3.refused)
    with s3.failing(0.3):
        for name in names:
            run.shards("images").write(name, TABLE)
        assert Store.open(run.uri).shards("images").missing(names) == []
    assert len(s3.refused) - before > 5


def test_requests_of_a_long_run_are_repeated_as_those_of_a_short_one(s3, run):
    """pyarrow's standard strategy gives a client a hundred repetitions, and never another one."""
    before = len(s3.refused)
    with s3.failing(0.25):
        for _ in range(500):
            assert run.files("images") == []
    assert len(s3.refused) - before > 100


@pytest.mark.parametrize("why", [FULL, READ_ONLY])
def test_a_store_that_cannot_be_written_for_a_while(s3, run, why):
    shards = run.shards("images")
    shards.write("s-0", TABLE)
    with s3.refusing_writes(why):
        with pytest.raises(StoreError, match=r"(?s)cannot write 'images/s-0\.parquet' .* make room there"):
            shards.write("s-0", TABLE.slice(1))
        with pytest.raises(UserError, match="cannot write to the run folder"):
            Store.open(run.uri)
        assert shards.read("s-0").equals(TABLE)
    assert list(shards.done()) == ["s-0"]


def test_a_lease_that_cannot_be_removed_hides_no_other_error(s3, run):
    lease = Lease(run)
    lease.__enter__()
    with s3.refusing_writes(READ_ONLY):
        lease.__exit__(None, None, None)
    assert run.exists(LEASE_FILE)


def test_the_disk_is_full(tmp_path):
    """A limit on the size of files fails a write in its middle, as a full disk does."""
    run = Store.open(str(tmp_path))
    run.write_bytes("state", b"old")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))
    try:
        with pytest.raises(StoreError, match=r"(?s)cannot write 'state' .*File too large.*make room there"):
            run.write_bytes("state", bytes(2000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert run.read_bytes("state") == b"old"
    assert [file.base_name for file in run.files("")] == ["state"]
