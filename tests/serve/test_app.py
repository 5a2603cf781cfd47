import json
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from PIL import Image
from ray import serve

from serve.app import build
from serve.args import ServeArgs
from serve.deploy import deployed
from tests.serve.http import free_port, noise, png

LIMITS = {"max_image_bytes": 100_000, "max_image_pixels": 10_000}
WAIT = 8.0  # seconds


@pytest.fixture(scope="module")
def url(ray_cluster, run):
    recipe, store = run
    settings = {"port": free_port(), "cpus": 0.5, **LIMITS}
    with deployed(
        recipe.model_copy(update={"serve": recipe.serve.model_copy(update=settings)}), store
    ) as url:
        yield url
    serve.shutdown()


def post(url, data, kind="image/png", path="/v1/labels"):
    headers = {"Content-Type": kind} if kind else {}
    return httpx.post(f"{url}{path}", content=data, headers=headers, timeout=60)


def test_an_image_gets_the_recognizers_answer(url, recognizer):
    image = noise(0)
    response = post(url, png(image))
    assert response.status_code == 200
    answer = response.json()
    (expected,) = recognizer.predict([image])
    assert answer["scores"] == pytest.approx(expected.scores, abs=1e-5)
    assert list(answer["scores"]) == ["fish", "house", "tree"]
    names = [label["name"] for label in answer["labels"]]
    assert names == list(expected.labels)
    assert "fish" in names
    assert "tree" not in names
    for label in answer["labels"]:
        assert label["score"] == answer["scores"][label["name"]]
        left, top, right, bottom = label["where"]["box"]
        assert 0 <= left < right <= 1
        assert 0 <= top < bottom <= 1
    assert answer["model"] == "tiny"


def test_requests_at_the_same_time_get_their_own_answers(url, recognizer):
    images = [noise(seed) for seed in range(24)]
    with ThreadPoolExecutor(24) as pool:
        answers = [each.json() for each in pool.map(lambda image: post(url, png(image)), images)]
    expected = [prediction.scores for prediction in recognizer.predict(images)]
    for answer, scores in zip(answers, expected, strict=True):
        assert answer["scores"] == pytest.approx(scores, abs=1e-5)


def test_the_model_is_described(url, recognizer):
    card = httpx.get(f"{url}/v1/model", timeout=60).json()
    assert card == recognizer.card.public().model_dump(mode="json")
    assert card["backbone"]["model"] == "resnet"  # the folder's name, not where it is
    assert "/" not in json.dumps(card)
    assert list(card["classes"]) == ["fish", "house", "tree"]


@pytest.mark.parametrize(
    ("data", "kind", "status", "message"),
    [
        (b"hello", "image/png", 400, "not an image"),
        (b"", "image/png", 400, "not an image"),
        (png(noise(0))[:2000], "image/png", 400, "damaged"),
        (png(noise(0)), "application/json", 415, "Content-Type image/"),
        (png(noise(0)), None, 415, "Content-Type image/"),
        (bytes(100_001), "image/png", 413, "larger than 100000 bytes"),
        (png(Image.new("1", (101, 100))), "image/png", 413, "101 x 100 pixels"),
    ],
    ids=["text", "empty", "cut off", "wrong type", "no type", "bytes", "pixels"],
)
def test_a_bad_request_is_told_what_is_wrong(url, data, kind, status, message):
    response = post(url, data, kind)
    assert response.status_code == status
    assert message in response.json()["detail"]


def test_a_large_body_of_unknown_length(url):
    response = post(url, iter([bytes(60_000)] * 2))
    assert response.status_code == 413


def test_what_a_browser_may_ask(url):
    assert httpx.get(f"{url}/v1/labels", timeout=60).status_code == 405
    assert httpx.get(f"{url}/nothing", timeout=60).status_code == 404
    assert httpx.get(f"{url}/-/healthz", timeout=60).status_code == 200
    paths = httpx.get(f"{url}/openapi.json", timeout=60).json()["paths"]
    assert {path: list(methods) for path, methods in paths.items()} == {
        "/v1/labels": ["post"],
        "/v1/model": ["get"],
    }


@pytest.fixture(scope="module")
def small(url, bundle):
    """One replica that waits long to fill a batch of 4, has two batches at a time, and 4 requests waiting."""
    limits = {"target_ongoing_requests": 1, "max_queued_requests": 4, "replicas": {"max": 1}, "cpus": 0.5}
    refusal = {"overload_status": 429, "retry_after_s": 7}
    args = ServeArgs(bundle=bundle, batch={"max_size": 4, "wait_s": WAIT}, **limits, **refusal)
    serve.run(build(args), name="small", route_prefix="/small")
    return f"{url}/small"


def together(url, requests):
    with ThreadPoolExecutor(requests) as pool:
        return list(pool.map(lambda seed: post(url, png(noise(seed))), range(requests)))


def test_waiting_requests_are_answered_in_one_batch(small):
    start = time.monotonic()
    assert [each.status_code for each in together(small, 4)] == [200] * 4
    assert time.monotonic() - start < WAIT  # a full batch is not held back
    assert post(small, png(noise(0))).elapsed.total_seconds() > WAIT  # half a batch is


def test_more_requests_than_it_can_take_are_refused(small):
    responses = together(small, 40)
    assert {each.status_code for each in responses} == {200, 429}
    assert {each.headers["retry-after"] for each in responses if each.status_code == 429} == {"7"}
    assert [each.status_code for each in together(small, 4)] == [200] * 4  # it has recovered
