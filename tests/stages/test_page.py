"""The stage that writes the report."""

import dataclasses

import pytest

from t2ipal.errors import UserError
from t2ipal.report import photos
from t2ipal.results import MANIFEST
from t2ipal.run_files import METRICS, REPORT, REPORT_PAGE
from t2ipal.stages import bundle, evaluate, page, tune
from t2ipal.stages.changed_recipe import begun, follow_recipe
from tests.finished_images import compute_features, finished_images, finished_run


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return finished_run(tmp_path_factory.mktemp("finished"))


def test_it_is_written_once_and_again_when_it_is_gone_or_changed(finished):
    recipe, store = finished
    assert page.pending(recipe, store) == [REPORT_PAGE]
    report = page.run(recipe, store)
    assert (report.stage, report.rows, report.already_complete) == ("report", 1, False)
    assert page.pending(recipe, store) == []
    assert page.run(recipe, store).already_complete

    written = store.read_bytes(REPORT_PAGE)
    assert written.startswith(b"<!doctype html>")
    store.write_bytes(REPORT_PAGE, written[:-1] + b" ")
    assert page.pending(recipe, store) == [REPORT_PAGE]
    page.run(recipe, store)
    store.delete(f"{REPORT}/{MANIFEST}")
    assert page.pending(recipe, store) == [REPORT_PAGE]
    page.run(recipe, store)
    assert store.read_bytes(REPORT_PAGE) == written


def test_it_is_written_again_when_what_it_shows_has_changed(finished):
    recipe, store = finished
    page.run(recipe, store)
    before = page.made_from(recipe, store)
    shards = store.shards("images")
    name, manifest = next(iter(shards.done().items()))
    store.write_json(f"images/_manifests/{name}.json", dataclasses.asdict(manifest) | {"sha256": "other"})
    try:
        assert page.made_from(recipe, store) != before
        assert page.pending(recipe, store) == [REPORT_PAGE]
    finally:
        store.write_json(f"images/_manifests/{name}.json", dataclasses.asdict(manifest))
    assert page.pending(recipe, store) == []


def test_it_needs_what_comes_before(tmp_path):
    recipe, store = finished_images(tmp_path)
    assert page.pending(recipe, store) == [REPORT_PAGE]
    with pytest.raises(UserError, match="run the stage bundle first"):
        page.run(recipe, store)
    assert not store.exists(REPORT_PAGE)


def test_photos_that_cannot_be_shown_do_not_end_the_job(finished, monkeypatch):
    def refuse(*given):
        raise UserError("the test set is gone", "bring it back")

    recipe, store = finished
    store.delete_folder(REPORT)
    monkeypatch.setattr(photos, "open_photos", refuse)
    page.run(recipe, store)
    assert b"the test set is gone" in store.read_bytes(REPORT_PAGE)
    store.delete_folder(REPORT)


def test_it_goes_with_the_bundle_of_a_former_recipe(tmp_path):
    recipe, store = finished_images(tmp_path)
    compute_features(recipe, store)
    for stage in (tune, evaluate, bundle, page):
        stage.run(recipe, store)
    other = recipe.with_evaluate(baselines=("zero_shot",))
    store.claim(other, begun(store))
    assert follow_recipe(other, store) == ["evaluate", "bundle"]
    assert not store.exists(REPORT_PAGE)
    for stage in (evaluate, bundle, page):
        stage.run(other, store)
    assert b"zero_shot_standardised" not in store.read_bytes(REPORT_PAGE).split(b"All settings")[0]
    assert set(store.read_json(METRICS)["methods"]) == {"zero_shot", "t2i_pal"}
