"""The paths, in this process: what is answered, and what is refused."""

import base64
import io
import json

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from tests.serve.here import paths, served
from tests.serve.http import noise, png

LIMITS = {"images": 3, "image_bytes": 100_000, "body_bytes": 250_000, "image_pixels": 10_000, "names": 2}


@pytest.fixture(scope="module")
def client(bundle, no_ray):
    api, _ = paths(served(bundle, limits=LIMITS, readers=1))
    with TestClient(api) as client:
        yield client


def ask(client, data, kind="image/png", **options):
    return client.post("/v1/recognize", content=data, headers={"Content-Type": kind}, params=options)


def ask_json(client, **body):
    return client.post("/v1/recognize", json=body)


def text(data):
    return base64.b64encode(data).decode()


def one(response):
    assert response.status_code == 200, response.text
    (result,) = response.json()["results"]
    return result


def test_an_image_gets_the_recognizers_answer(client, recognizer):
    image = noise(0, 50)
    response = ask(client, png(image))
    (expected,) = recognizer.predict([image])
    answer = response.json()
    assert (answer["recognizer"], answer["version"]) == ("tiny", recognizer.version)
    assert set(answer["timings_ms"]) == {"decode", "model", "total"}
    result = one(response)
    assert (result["width"], result["height"], result["scores"]) == (50, 50, None)
    assert [label["name"] for label in result["labels"]] == [label.name for label in expected.labels]
    assert "fish" in [label["name"] for label in result["labels"]]
    for label, known in zip(result["labels"], expected.labels, strict=True):
        assert label["score"] == pytest.approx(known.score, abs=1e-6)
        assert label["threshold"] == pytest.approx(known.threshold)
        assert label["where"]["box"] == list(known.where.box)
        assert (label["zero_shot"], label["heatmap"]) == (False, None)


def test_the_same_image_in_every_kind_of_body(client):
    data = png(noise(1))
    asked = {"scores": True, "top_k": 1, "threshold": 0.0}
    results = [
        one(ask(client, data, "application/octet-stream", **asked)),
        one(ask(client, data, "image/jpeg", **asked)),  # what the bytes say counts
        one(
            client.post(
                "/v1/recognize",
                files={"images": data},
                data={"scores": "true", "top_k": "1", "threshold": "0"},
            )
        ),
        one(ask_json(client, images=[text(data)], **asked)),
        one(ask_json(client, images=[f"data:image/png;base64,{text(data)}"], **asked)),
    ]
    assert all(result == results[0] for result in results)
    assert set(results[0]["scores"]) == {"fish", "house", "tree"}
    assert len(results[0]["labels"]) == 1


def test_options_of_a_body_come_before_those_of_the_query(client):
    response = client.post(
        "/v1/recognize?top_k=2&threshold=0", json={"images": [text(png(noise(2)))], "top_k": 1}
    )
    assert len(one(response)["labels"]) == 1


def test_a_threshold_counts_probabilities(client):
    result = one(ask(client, png(noise(3)), threshold=0, scores=True))
    scores = [label["score"] for label in result["labels"]]
    assert sorted(result["scores"].values(), reverse=True) == scores
    assert {label["threshold"] for label in result["labels"]} == {0.0}
    middle = (scores[0] + scores[1]) / 2
    assert len(one(ask(client, png(noise(3)), threshold=middle))["labels"]) == 1
    assert one(ask(client, png(noise(3)), threshold=1))["labels"] == []


def test_a_heatmap_as_numbers_and_as_a_picture(client):
    image = png(Image.new("RGB", (100, 40)).resize((100, 40)))
    heat = one(ask(client, image, heatmaps="grid", threshold=0))["labels"][0]["heatmap"]
    assert np.shape(heat["grid"]) == (2, 2)
    assert heat["box"] == [0, 0, 1, 1]
    picture = one(ask(client, image, heatmaps="png", threshold=0))["labels"][0]["heatmap"]["png"]
    overlay = Image.open(io.BytesIO(base64.b64decode(picture)))
    assert (overlay.size, overlay.mode) == ((100, 40), "RGBA")


def test_names_that_were_never_tuned(client):
    result = one(ask(client, png(noise(4)), classes=["teddy bear", "blue house"], threshold=0, scores=True))
    assert list(result["scores"]) == ["fish", "house", "tree", "teddy bear", "blue house"]
    kinds = {label["name"]: label["zero_shot"] for label in result["labels"]}
    assert kinds == {"fish": False, "house": False, "tree": False, "teddy bear": True, "blue house": True}
    alone = one(ask(client, png(noise(4)), scores=True))["scores"]
    assert {name: result["scores"][name] for name in alone} == pytest.approx(alone, abs=1e-6)


def test_one_bad_image_spoils_its_own_place_alone(client):
    good = png(noise(5))
    bodies = [good, good[:500], b"hello"]
    response = client.post("/v1/recognize", files=[("images", body) for body in bodies])
    assert response.status_code == 200
    first, second, third = response.json()["results"]
    assert first == one(ask(client, good))
    assert (second["status"], third["status"]) == (422, 415)
    assert "damaged" in second["detail"]


@pytest.mark.parametrize(
    ("data", "kind", "status", "message"),
    [
        (b"hello", "image/png", 415, "not an image in a known format"),
        (b"", "image/png", 422, "empty"),
        (png(noise(0))[:2000], "image/png", 422, "damaged"),
        (png(noise(0)), "text/plain", 415, "Content-Type 'text/plain' is none of"),
        (png(noise(0)), "", 415, "Content-Type '' is none of"),
        (bytes(100_001), "image/png", 413, "100001 bytes; at most 100000"),
        (bytes(250_001), "image/png", 413, "the body is larger than 250000 bytes"),
        (png(Image.new("1", (101, 100))), "image/png", 422, "101 x 100 pixels; at most 10000"),
        (b"{", "application/json", 422, "the body is no JSON"),
        (b'{"images": []}', "application/json", 422, "images: List should have at least 1 item"),
        (b'{"images": ["?"]}', "application/json", 422, "not in base64"),
        (b'{"images": ["\\u0080"]}', "application/json", 422, "not in base64"),
        (
            b'{"images": ["aGVsbG8="], "topk": 3}',
            "application/json",
            422,
            "topk: Extra inputs are not permitted",
        ),
        (b'{"images": [{"url": "http://x/y.png"}]}', "application/json", 422, "fetches no URLs"),
        (json.dumps({"images": [""] * 4}).encode(), "application/json", 422, "images: there are more than 3"),
        (b"[]", "application/json", 422, "the body is no JSON object"),
        (b'{"images": [1, 2], "a": 1}', "application/json", 422, "images.0: Input should be a valid string"),
        (b"--x--", "multipart/form-data", 422, "Missing boundary"),
        (b"--x--\r\n", "multipart/form-data; boundary=x", 422, "images: the form has no file"),
    ],
    ids=lambda value: value[:12].hex() if isinstance(value, bytes) else str(value),
)
def test_what_is_refused_says_why(client, data, kind, status, message):
    response = ask(client, data, kind)
    assert (response.status_code, message in response.json()["detail"]) == (status, True), response.text


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"files": {"mask": b"x"}}, "mask: files are called images"),
        ({"files": {"images": b"x"}, "data": {"top_k": ["1", "2"]}}, "top_k: it is given more than once"),
        ({"files": [("images", b"x")] * 4}, "images: there are more than 3"),
        ({"files": {"images": b"x"}, "data": {"colour": "red"}}, "colour: Extra inputs"),
    ],
)
def test_a_form_that_is_wrong_names_its_field(client, form, message):
    response = client.post("/v1/recognize", **form)
    assert (response.status_code, message in response.json()["detail"]) == (422, True), response.text


def test_many_faults_make_a_short_answer(client):
    response = ask_json(client, images=[text(png(noise(0)))], **{f"wrong{n}": n for n in range(10_000)})
    assert response.status_code == 422
    assert len(response.text) < 1000
    response = ask_json(client, images=[1] * 100_000)
    assert "images: there are more than 3" in response.json()["detail"]


def test_only_the_surest_labels_have_a_heatmap(bundle, no_ray):
    api, _ = paths(served(bundle, limits={"heatmaps": 2}))
    with TestClient(api) as client:
        labels = one(ask(client, png(noise(0)), heatmaps="grid", threshold=0))["labels"]
    assert [label["heatmap"] is not None for label in labels] == [True, True, False]


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        ({"threshold": 2}, 422, "threshold: Input should be less than or equal to 1"),
        ({"top_k": "many"}, 422, "top_k: Input should be a valid integer"),
        ({"heatmaps": "blue"}, 422, "heatmaps: Input should be 'none', 'grid' or 'png'"),
        ({"colour": 1}, 422, "colour: Extra inputs are not permitted"),
        ({"classes": ["a", "b", "c"]}, 422, "classes: there are more than 2"),
        ({"classes": ["tree"]}, 422, "'tree' is one of its classes"),
        ({"recognizer": "other"}, 404, "no recognizer 'other'; there are: tiny"),
    ],
)
def test_options_that_are_wrong_are_named(client, options, status, message):
    response = ask(client, png(noise(0)), **options)
    assert (response.status_code, message in response.json()["detail"]) == (status, True), response.text


def test_a_body_of_unknown_length_that_is_too_long(client):
    response = ask(client, iter([bytes(200_000)] * 2))
    assert response.status_code == 413


def test_recognizers_and_their_classes(client, recognizer):
    (described,) = client.get("/v1/recognizers").json()
    assert (described["name"], described["default"], described["failed"]) == ("tiny", True, None)
    assert (described["version"], described["method"], described["classes"]) == (
        recognizer.version,
        "t2i_pal",
        3,
    )
    vocabulary = client.get("/v1/vocabulary").json()
    assert vocabulary["classes"] == recognizer.card.classes
    assert vocabulary["thresholds"] == pytest.approx({"fish": 0, "house": 0.5, "tree": 1})
    assert client.get("/v1/vocabulary?recognizer=other").status_code == 404


def test_nothing_says_where_files_lie(client, bundle):
    for path in ("/v1/recognizers", "/v1/vocabulary", "/openapi.json"):
        assert bundle not in client.get(path).text


def test_it_says_that_it_lives(client):
    for path in ("/healthz", "/readyz"):
        assert client.get(path).text == "ok"


def test_other_web_pages_may_not_ask_unless_they_are_named(client, bundle):
    asked = {"Origin": "https://page.example", "Access-Control-Request-Method": "POST"}
    assert "access-control-allow-origin" not in client.options("/v1/recognize", headers=asked).headers
    api, _ = paths(served(bundle, origins=["https://page.example"]))
    allowed = TestClient(api).options("/v1/recognize", headers=asked).headers
    assert allowed["access-control-allow-origin"] == "https://page.example"
    other = TestClient(api).options("/v1/recognize", headers=asked | {"Origin": "https://other.example"})
    assert "access-control-allow-origin" not in other.headers
