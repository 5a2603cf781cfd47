"""Labels of a folder of images, by a pool of workers; and the job around it."""

import json
import os

import pytest

from jobs.label import main
from t2ipal.labelling.plan import TABLE, Files, Labelling
from t2ipal.section import Workers
from t2ipal.stages import label
from t2ipal.store import Store
from tests.finished_bundle import bundle_in
from tests.serve.http import noise, png


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return bundle_in(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for seed in range(10):
        (folder / f"{seed}.png").write_bytes(png(noise(seed)))
    (folder / "broken.png").write_bytes(png(noise(0))[:500])
    return str(folder)


def arguments(images, out, bundle, *more):
    return [images, str(out), "--recognizer", bundle, "--shard-rows", "4", "--cpus", "0.5", *more]


def test_missing_shards_alone_are_labelled(ray_cluster, images, bundle, tmp_path, capsys):
    out = Store.open(str(tmp_path / "labels"))
    settings = settings_of(images, bundle, tmp_path)
    settings.claim(out)
    files = Files.planned(images, out, 4)
    pool = label.Pool(bundle, Workers(max=2, cpus=0.5))
    report = label.run(settings, files, pool, out)
    assert (report.rows, report.shards_total, report.notes) == (11, 3, {"broken": 1, "labelled": 11})
    before = out.shards(TABLE).done()
    out.delete(f"{TABLE}/labels-00001.parquet")
    report = label.run(settings, files, pool, out)
    assert (report.shards_done_before, report.notes["labelled"]) == (2, 4)
    assert out.shards(TABLE).done() == before  # checksums too: the same to the last bit

    assert main(arguments(images, out.uri, bundle, "--format", "jsonl")) == 0
    said = capsys.readouterr().out
    assert "already complete" in said
    assert "broken.png: the image is damaged" in said
    lines = out.read_bytes("labels.jsonl").decode().splitlines()
    assert [json.loads(line)["image"] for line in lines] == sorted(os.listdir(images))


def settings_of(images, bundle, tmp_path):
    """The settings that the job takes from its arguments, without a job."""
    from t2ipal import Recognizer

    recognizer = Recognizer.load(bundle)
    return Labelling(images=images, version=recognizer.version, at_once=1, classes=recognizer.classes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda given: [given[0], f"{given[0]}/labels", *given[2:]], "would lie among the images"),
        (lambda given: [f"{given[0]}/nothing", *given[1:]], "cannot list"),
        (lambda given: [*given[:3], given[0], *given[4:]], "is not a recognizer bundle"),
    ],
)
def test_what_cannot_be_labelled_is_told(images, bundle, tmp_path, capsys, change, message):
    assert main(change(arguments(images, tmp_path / "out", bundle))) == 2
    assert message in capsys.readouterr().err
