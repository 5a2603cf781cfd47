import pickle

import pytest

from t2ipal.errors import DamagedFileError, UserError
from t2ipal.results import MANIFEST, Results
from t2ipal.store import Store

FILES = [("a.bin", b"abc"), ("b.json", b"{}")]
ORIGIN = {"data": "1"}


@pytest.fixture
def results(tmp_path):
    return Results(Store.open(str(tmp_path)), "bundle")


def test_what_is_written_is_whole(results):
    assert not results.are_there(ORIGIN)
    assert results.write(FILES, ORIGIN) == 2
    assert results.are_there(ORIGIN)
    assert results.are_whole(ORIGIN)
    assert not results.are_there({"data": "2"})
    assert results.store.read_bytes("bundle/a.bin") == b"abc"


def test_other_bytes_of_the_same_size_are_seen_by_reading(results):
    results.write(FILES, ORIGIN)
    results.store.write_bytes("bundle/a.bin", b"abd")
    assert results.are_there(ORIGIN)
    assert not results.are_whole(ORIGIN)


@pytest.mark.parametrize(
    "damage",
    [lambda store: store.delete("bundle/a.bin"), lambda store: store.write_bytes("bundle/a.bin", b"")],
)
def test_what_is_gone_or_cut_short_is_seen_by_listing(results, damage):
    results.write(FILES, ORIGIN)
    damage(results.store)
    assert not results.are_there(ORIGIN)
    assert not results.are_whole(ORIGIN)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"files": {}}',
        b'{"files": {"a": 1}, "made_from": {}}',
        b'{"files": 3, "made_from": {}}',
    ],
)
def test_a_manifest_that_is_none(results, content):
    results.write(FILES, ORIGIN)
    results.store.write_bytes(results.manifest, content)
    assert results.contents() is None
    assert not results.are_there(ORIGIN)


def test_a_job_that_is_killed_leaves_no_manifest(results):
    results.write(FILES, ORIGIN)

    def killed():
        yield FILES[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        results.write(killed(), ORIGIN)
    assert not results.store.exists(f"bundle/{MANIFEST}")


def test_a_damaged_json_file_is_the_users_to_repair(results):
    results.store.write_bytes("x.json", b"{")
    with pytest.raises(DamagedFileError, match=r"(?s)'x.json' .* is damaged: .*--repair") as raised:
        results.store.read_json("x.json")
    assert isinstance(raised.value, UserError)
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)
    assert results.store.find_json("x.json") is None
    assert results.store.find_json("y.json") is None
    results.store.write_json("x.json", {"a": 1})
    assert results.store.find_json("x.json") == {"a": 1}
