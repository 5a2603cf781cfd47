import pytest

from t2ipal.errors import UserError
from t2ipal.labelling.plan import Files, Labelling, listed
from t2ipal.store import Store


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    for name in ("b.png", "a/c.jpg", "a/d.txt", ".hidden/x.png", "a/.y.png", "_tmp/z.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


@pytest.fixture
def out(tmp_path):
    return Store.open(str(tmp_path / "out"))


def test_all_files_below_a_folder_but_hidden_ones(images):
    assert sorted(listed(str(images))) == ["a/c.jpg", "a/d.txt", "b.png"]
    assert sorted(listed(f"{images}/")) == ["a/c.jpg", "a/d.txt", "b.png"]


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="cannot list"):
        listed(str(tmp_path / "nothing"))


def test_images_that_come_later_get_shards_of_their_own(images, out):
    first = Files.planned(str(images), out, rows=2)
    assert first.by_shard() == {"labels-00000": ["a/c.jpg", "a/d.txt"], "labels-00001": ["b.png"]}
    (images / "a" / "a.png").write_bytes(b"x")
    (images / "b.png").unlink()
    again = Files.planned(str(images), out, rows=5)
    assert again.by_shard() == first.by_shard() | {"labels-00002": ["a/a.png"]}
    assert Files.planned(str(images), out, rows=1) == again


def test_an_empty_folder(tmp_path, out):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="there are no files in"):
        Files.planned(str(tmp_path / "empty"), out, rows=2)


def test_a_folder_of_labels_keeps_its_settings(out):
    settings = Labelling(images="x", version="1", classes=("fish",))
    settings.claim(out)
    settings.claim(out)
    other = settings.model_copy(update={"version": "2", "top_k": 3})
    with pytest.raises(UserError, match="what differs: version, top_k"):
        other.claim(out)


def test_images_in_an_object_store(s3, tmp_path):
    bucket = Store.open(s3.uri(tmp_path.name))
    bucket.write_bytes("photos/a.png", b"x")
    bucket.write_bytes("photos/below/b.png", b"x")
    assert sorted(listed(bucket.uri_of("photos"))) == ["a.png", "below/b.png"]
