from t2ipal.images.plan import image_shards, surplus, unfinished
from t2ipal.shards import Manifest


def manifest(rows, sha256="x", **extra):
    return Manifest(rows=rows, bytes=1, sha256=sha256, fingerprint="", extra=extra)


def test_every_image_is_in_one_shard():
    planned = image_shards(
        {"captions-00001": manifest(3), "captions-00000": manifest(5)}, per_caption=2, shard_rows=4
    )
    assert [(each.name, each.start, each.stop) for each in planned] == [
        ("images-00000-000", 0, 4),
        ("images-00000-001", 4, 8),
        ("images-00000-002", 8, 10),
        ("images-00001-000", 0, 4),
        ("images-00001-001", 4, 6),
    ]


def test_a_caption_shard_without_captions_has_an_empty_image_shard():
    (only,) = image_shards({"captions-00000": manifest(0)}, per_caption=2, shard_rows=4)
    assert (only.start, only.stop) == (0, 0)


def test_done_shards_are_left_out_unless_their_captions_have_changed():
    captions = {"captions-00000": manifest(4, "a"), "captions-00001": manifest(4, "b")}
    planned = image_shards(captions, per_caption=1, shard_rows=4)
    done = {each.name: manifest(4, **each.extra) for each in planned}
    assert unfinished(planned, done) == []
    again = image_shards(captions | {"captions-00001": manifest(4, "c")}, per_caption=1, shard_rows=4)
    assert [each.name for each in unfinished(again, done)] == ["images-00001-000"]
    assert unfinished(planned, {}) == planned


def test_shards_of_captions_that_were_more_are_surplus():
    written = ["images-00000-000", "images-00000-001", "images-00001-000"]
    planned = image_shards({"captions-00000": manifest(2)}, per_caption=1, shard_rows=2)
    assert surplus(planned, written) == ["images-00000-001"]  # nothing is known of the captions 00001
