import pytest

from serve.watched import FAILURES_TO_REPLACE, WatchedRecognizer
from tests.serve.http import noise


@pytest.fixture
def watched(recognizer):
    return WatchedRecognizer(recognizer)


def fail(watched):
    with pytest.raises(AttributeError):
        watched.predict(["not an image"])


def test_it_predicts_as_the_recognizer_does(watched, recognizer):
    images = [noise(0), noise(1)]
    assert watched.predict(images) == recognizer.predict(images)


def test_failures_in_a_row_are_reported(watched):
    for _ in range(FAILURES_TO_REPLACE):
        watched.check()
        fail(watched)
    with pytest.raises(RuntimeError, match="the last 3 batches failed"):
        watched.check()


def test_a_success_forgives_the_failures_before_it(watched):
    for _ in range(FAILURES_TO_REPLACE):
        fail(watched)
    watched.predict([noise(0)])
    watched.check()
