from t2ipal.images.plan import image_shards, surplus, unfinished
from t2ipal.recipe import ImagesRecipe
from t2ipal.shards import Manifest


def manifest(rows, sha256="x", **extra):
    return Manifest(rows=rows, bytes=1, sha256=sha256, fingerprint="", extra=extra)


def shards(finished, **settings):
    return image_shards(finished, ImagesRecipe(model="m", steps=1, guidance=1.0, size=8, **settings))


def test_every_image_is_in_one_shard():
    planned = shards(
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
    (only,) = shards({"captions-00000": manifest(0)}, per_caption=2, shard_rows=4)
    assert (only.start, only.stop) == (0, 0)


def test_done_shards_are_left_out_unless_their_captions_have_changed():
    captions = {"captions-00000": manifest(4, "a"), "captions-00001": manifest(4, "b")}
    planned = shards(captions, per_caption=1, shard_rows=4)
    done = {each.name: manifest(4, **each.extra) for each in planned}
    assert unfinished(planned, done) == []
    again = shards(captions | {"captions-00001": manifest(4, "c")}, per_caption=1, shard_rows=4)
    assert [each.name for each in unfinished(again, done)] == ["images-00001-000"]
    assert unfinished(planned, {}) == planned


def test_shards_of_captions_that_were_more_are_surplus():
    written = ["images-00000-000", "images-00000-001", "images-00001-000"]
    planned = shards({"captions-00000": manifest(2)}, per_caption=1, shard_rows=2)
    assert surplus(planned, written, {"captions-00000"}) == ["images-00000-001"]


def test_the_first_captions_are_painted():
    captions = {f"captions-0000{n}": manifest(4, str(n)) for n in range(4)}
    planned = shards(captions, captions=6, per_caption=2, shard_rows=8)
    assert [(each.name, each.stop) for each in planned] == [("images-00000-000", 8), ("images-00001-000", 4)]
    assert shards(captions, captions=8) == shards(captions, captions=16)[:2]
    assert shards(captions, captions=17) == shards(captions)
    assert surplus(planned, [each.name for each in shards(captions)], captions) == [
        "images-00002-000",
        "images-00003-000",
    ]


def test_a_shard_of_another_number_of_captions_is_not_done():
    captions = {"captions-00000": manifest(4, "a"), "captions-00001": manifest(4, "b")}
    done = {each.name: manifest(each.stop, **each.extra) for each in shards(captions, captions=6)}
    less = captions | {"captions-00000": manifest(3, "c")}
    assert [each.name for each in unfinished(shards(less, captions=6), done)] == [
        "images-00000-000",
        "images-00001-000",
    ]
