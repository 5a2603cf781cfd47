import base64
import io

import numpy as np
import pytest
from PIL import Image

from t2ipal import Recognizer
from t2ipal.report.photos import losses, photos_of, ranked
from t2ipal.verification import open_run
from tests.finished_images import NAMES, picture


def test_the_loss_is_the_cross_entropy_without_what_is_ignored():
    probabilities = np.array([[0.9, 0.2], [1.0, 0.0]])
    labels = np.array([[True, False], [False, True]])
    ignored = np.array([[False, True], [False, False]])
    found = losses(probabilities, labels, ignored)
    assert found[0].tolist() == pytest.approx([-np.log(0.9), 0.0])
    assert np.isfinite(found).all()
    assert (found[1] > 100).all()


def test_best_and_worst_are_apart_and_the_best_hold_a_class():
    loss = np.array([[0.1], [0.2], [0.3], [0.4], [0.5]])
    labels = np.array([[False], [True], [True], [True], [False]])
    assert ranked(loss, labels, each=2) == ([1, 2], [4, 3])
    assert ranked(loss, labels, each=3) == ([1, 2, 3], [4, 0])


def shown(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB")


def test_photos_are_those_of_the_test_set_and_say_what_the_recognizer_says(finished):
    recipe, store = finished
    photos = photos_of(recipe, store)
    assert (len(photos.best), len(photos.worst)) == (6, 6)
    assert [each.loss for each in photos.best] == sorted(each.loss for each in photos.best)
    assert [each.loss for each in photos.worst] == sorted((each.loss for each in photos.worst), reverse=True)
    assert len({each.name for each in (*photos.best, *photos.worst)}) == 12
    assert not {"0.png", "8.png"} & {each.name for each in photos.best}  # which hold no class
    recognizer = Recognizer.load(store.uri_of("bundle"))
    for photo in (*photos.best, *photos.worst):
        number = int(photo.name.removesuffix(".png"))
        labels = [c for c in range(3) if number >> c & 1]
        image = picture(labels, 1000 + number)
        assert shown(photo.picture.uri).tobytes() == image.tobytes()
        (said,) = recognizer.predict([image])
        for each in photo.said:
            assert each.probability == pytest.approx(said.scores[each.name], abs=2e-3)  # features are fp16
            assert each.is_there == (NAMES.index(each.name) in labels)
        assert {each.name for each in photo.said if each.is_there} == {NAMES[c] for c in labels}
        assert photo.shown in {each.name for each in photo.said} or not photo.said
        assert photo.shown in photo.heatmap.alt


def test_heatmaps_glow_over_the_photo(finished):
    photo = photos_of(*finished).best[0]
    plain, glowing = shown(photo.picture.uri), shown(photo.heatmap.uri)
    large = np.asarray(plain.resize(glowing.size, Image.Resampling.NEAREST)).astype(int)
    change = np.abs(np.asarray(glowing).astype(int) - large).sum(axis=2)
    assert change.max() > 100
    assert np.quantile(change, 0.1) < 20  # clear where the class is not


def test_photos_that_are_not_there_are_told(finished, tmp_path):
    recipe, store = finished
    elsewhere = recipe.with_evaluate(dataset=str(tmp_path / "nowhere"))
    photos = photos_of(elsewhere, store)
    assert "there is no test set at" in photos.missing
    assert photos.best == photos.worst == ()


def test_other_photos_than_those_that_were_measured_are_told(finished, tmp_path):
    recipe, store = finished
    (tmp_path / "test.csv").write_text("image,labels\n" + "".join(f"x{i}.png,fish\n" for i in range(12)))
    for i in range(12):
        picture([0], i).save(tmp_path / f"x{i}.png")
    photos = photos_of(recipe.with_evaluate(dataset=str(tmp_path)), store)
    assert "where the run saw" in photos.missing


def test_a_run_that_was_opened_anew_has_the_same(finished):
    assert photos_of(*open_run(finished[1].uri)) == photos_of(*finished)
