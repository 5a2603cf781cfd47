"""The endpoint on Ray Serve."""

import csv
import hashlib
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest
from PIL import Image
from ray import serve
from ray._private import worker
from ray.serve.context import _get_global_client
from ray.serve.schema import ServeDeploySchema

from serve.app import build
from serve.deploy import deployed
from t2ipal import Recognizer
from t2ipal.labelling.labeller import Labeller
from t2ipal.labelling.plan import Labelling
from tests.serve.here import served
from tests.serve.http import free_port, noise, png

LIMITS = {"image_bytes": 100_000, "body_bytes": 200_000, "image_pixels": 10_000}
WAIT = 8.0  # seconds


@pytest.fixture(scope="module")
def url(ray_cluster, run):
    recipe, store = run
    settings = {"port": free_port(), "cpus": 0.5, "limits": recipe.serve.limits.model_copy(update=LIMITS)}
    with deployed(
        recipe.model_copy(update={"serve": recipe.serve.model_copy(update=settings)}), store
    ) as url:
        yield url
    serve.shutdown()


def post(url, data, kind="image/png", timeout=60, **options):
    return httpx.post(
        f"{url}/v1/recognize", content=data, headers={"Content-Type": kind}, params=options, timeout=timeout
    )


def scores(response):
    assert response.status_code == 200, response.text
    return response.json()["results"][0]["scores"]


def test_requests_come_by_haproxy(url):
    """To the frontend, and not to Serve's own proxy, which it would ask where it finds none."""
    (haproxy,) = [each for each in psutil.Process().children(recursive=True) if each.name() == "haproxy"]
    config = Path(haproxy.cmdline()[haproxy.cmdline().index("-f") + 1]).read_text()
    stats = re.search(r"listen stats\s+bind \*:(\d+)(?s:.*?)stats uri (\S+)", config)
    assert httpx.get(f"{url}/healthz", timeout=60).status_code == 200
    text = httpx.get(f"http://127.0.0.1:{stats[1]}{stats[2]};csv", timeout=60).text.removeprefix("# ")
    rows = [row for row in csv.DictReader(text.splitlines()) if row["svname"] not in ("FRONTEND", "BACKEND")]
    taken = {row["svname"]: int(row["stot"]) for row in rows if row["status"].startswith("UP")}
    assert {name.startswith("SERVE_REPLICA") for name, count in taken.items() if count} == {True}, rows


def test_an_image_gets_the_recognizers_answer(url, recognizer):
    (expected,) = recognizer.predict([noise(0)])
    response = post(url, png(noise(0)), scores=True)
    assert scores(response) == pytest.approx(expected.scores, abs=1e-6)
    assert response.json()["version"] == recognizer.version
    assert response.json()["recognizer"] == "tiny"


def test_the_job_that_labels_folders_says_the_same_to_the_last_bit(url, bundle, recognizer, tmp_path):
    names = [f"{seed}.png" for seed in range(4)]
    for seed, name in enumerate(names):
        (tmp_path / name).write_bytes(png(noise(seed)))
    settings = Labelling(
        images=str(tmp_path), version=recognizer.version, at_once=1, classes=recognizer.classes
    )
    rows = Labeller(settings, bundle, "cpu")(names).to_pylist()
    for row in rows:
        (result,) = post(url, (tmp_path / row["image"]).read_bytes(), scores=True).json()["results"]
        assert list(result["scores"].values()) == row["scores"]
        said = [
            {key: label[key] for key in ("name", "score", "zero_shot")} | label["where"]
            for label in result["labels"]
        ]
        assert said == row["labels"]


def test_requests_at_the_same_time_get_their_own_answers_to_the_last_bit(url):
    images = [png(noise(seed)) for seed in range(24)]
    alone = [scores(post(url, image, scores=True)) for image in images[:4]]
    with ThreadPoolExecutor(24) as pool:
        together = list(pool.map(lambda image: scores(post(url, image, scores=True)), images))
    assert together[:4] == alone
    assert len({tuple(each.values()) for each in together}) == 24


def test_what_is_refused_keeps_its_status_and_its_reason(url):
    refused = [
        (post(url, b"hello"), 415, "not an image"),
        (post(url, png(noise(0))[:2000]), 422, "damaged"),
        (post(url, bytes(100_001)), 413, "at most 100000"),
        (post(url, png(Image.new("1", (101, 100)))), 422, "101 x 100 pixels"),
        (post(url, png(noise(0)), recognizer="other"), 404, "no recognizer 'other'"),
        (post(url, png(noise(0)), top_k=0), 422, "top_k"),
        (post(url, iter([bytes(150_000)] * 2)), 413, "larger than 200000"),
    ]
    for response, status, message in refused:
        assert (response.status_code, message in response.json()["detail"]) == (status, True), response.text


def test_every_path_answers(url):
    for path in ("", "healthz", "readyz", "v1/recognizers", "v1/vocabulary", "openapi.json", "-/healthz"):
        assert httpx.get(f"{url}/{path}", timeout=60).status_code == 200, path
    assert httpx.get(f"{url}/v1/recognize", timeout=60).status_code == 405
    assert httpx.get(f"{url}/nothing", timeout=60).status_code == 404


def test_figures_for_prometheus(url):
    post(url, png(noise(0)))

    post(url, b"hello")

    def figures():
        return httpx.get(f"{url}/metrics", timeout=60).text

    def statuses():
        counted = [line for line in figures().splitlines() if line.startswith("ray_t2ipal_images")]
        return {status for line in counted for status in re.findall(r'status="(\d+)"', line)}

    wait_for(lambda: {"200", "415"} <= statuses() and "ray_serve_num_http_requests" in figures())
    assert "ray_t2ipal_model_ms" in figures()
    assert "object_store" not in figures()  # Ray's other figures are Ray's business


@pytest.fixture(scope="module")
def small(url, bundle):
    """One replica that waits long to fill a batch of 4, and has places for three of them."""
    serve.run(build(slow(bundle)), name="small", route_prefix="/small")
    return f"{url}/small"


def slow(bundle, **settings):
    limits = {"target_ongoing_requests": 1.0, "max_ongoing_requests": 12, "replicas": {"max": 1}, "cpus": 0.5}
    batch = {"at_once": 4, "batch": {"max_size": 4, "wait_s": WAIT}}
    return served(bundle, **{"retry_after_s": 7, **limits, **batch, **settings})


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


@pytest.mark.slow
def test_a_request_that_was_taken_is_answered_when_its_replica_goes(url, bundle):
    url, wait = f"{url}/leaving", 60.0

    def run(name, wait_s):
        batch = {"max_size": 4, "wait_s": wait_s}
        args = slow(bundle, batch=batch, deadline_s=2 * wait, serves={"recognizers": {name: bundle}})
        serve.run(build(args), name="leaving", route_prefix="/leaving")

    run("before", wait)
    with ThreadPoolExecutor(2) as pool:
        taken = pool.submit(post, url, png(noise(0)), timeout=2 * wait)
        time.sleep(2.0)  # it waits in the replica for its batch to fill
        pool.submit(run, "after", 0.0)  # returns when all that was there has gone
        while httpx.get(f"{url}/v1/recognizers", timeout=60).json()[0]["name"] != "after":
            time.sleep(0.1)
        assert not taken.done()
        assert post(url, png(noise(0))).json()["recognizer"] == "after"
        assert taken.result().json()["recognizer"] == "before"


def test_what_takes_too_long_is_refused(url, bundle):
    args = served(bundle, at_once=4, batch={"max_size": 4, "wait_s": WAIT}, deadline_s=1.0, cpus=0.2)
    serve.run(build(args), name="late", route_prefix="/late")
    response = post(f"{url}/late", png(noise(0)))
    assert (response.status_code, response.elapsed.total_seconds() < WAIT) == (504, True)
    assert "within 1 s" in response.json()["detail"]
    serve.delete("late")


def deploy(bundle):
    """Deploy two replicas by a configuration, as `serve deploy` does, and wait until they have it."""
    settings = {"batch": {"max_size": 4, "wait_s": 0.2}, "replicas": {"min": 2, "max": 2}, "cpus": 0.2}
    application = {
        "name": "pool",
        "route_prefix": "/pool",
        "import_path": "serve.app:build",
        "args": settings,
        "deployments": [{"name": "Replica", "user_config": {"recognizers": {"tiny": bundle}}}],
    }
    before = serve.status().applications.get("pool")
    _get_global_client().deploy_apps(ServeDeploySchema.model_validate({"applications": [application]}))

    def has_it():
        now = serve.status().applications["pool"]
        later = before is None or now.last_deployed_time_s > before.last_deployed_time_s
        return later and now.status == "RUNNING"

    wait_for(has_it)


@pytest.fixture(scope="module")
def pool(url, bundle):
    """Two replicas, each of which has a batch's time for a request."""
    serve.delete("small")
    deploy(bundle)
    return f"{url}/pool"


def wait_for(reached, seconds=200):
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.5)


def under_load(url, event, answers=4):
    """Ask all the time, from four threads, have something happen meanwhile, and return the answers: so many
    to each thread before it, and after it as well.
    """
    over = threading.Event()
    responses = [[] for _ in range(4)]

    def ask(seed):
        while not over.is_set():
            responses[seed].append(post(url, png(noise(seed)), scores=True))

    def have(more):
        least = [len(each) + more for each in responses]
        wait_for(lambda: all(len(each) >= few for each, few in zip(responses, least, strict=True)))

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask, seed) for seed in range(4)]
        try:
            have(answers)
            event()
            have(answers)
        finally:
            over.set()
        for each in asking:
            each.result()
    return [response for each in responses for response in each]


def test_no_request_is_lost_with_a_replica(pool):
    def replicas():
        title = "ServeReplica:pool:Replica"
        return [
            each for each in psutil.process_iter(["cmdline"]) if title in " ".join(each.info["cmdline"] or [])
        ]

    def kill():
        found = replicas()
        assert len(found) == 2
        found[0].kill()

    responses = under_load(pool, kill)
    assert {response.status_code for response in responses} == {200}


def test_a_recognizer_is_changed_while_it_answers(pool, other_bundle, tmp_path):
    responses = under_load(pool, lambda: deploy(other_bundle))
    assert {response.status_code for response in responses} == {200}
    by_version = {}
    for response in responses:
        by_version.setdefault(response.json()["version"], set()).add(tuple(scores(response).values()))
    first, second = by_version.values()
    assert len(first) == len(second) == 4  # the answers to four images, the same at every time
    assert not first & second

    responses = under_load(pool, lambda: deploy(str(tmp_path / "nothing")))
    assert {(response.status_code, response.json()["version"]) for response in responses} == {
        (200, Recognizer.load(other_bundle).version)
    }
    (after,) = httpx.get(f"{pool}/v1/recognizers", timeout=60).json()
    assert "is not a recognizer bundle" in after["failed"]


def test_keys_and_how_often_they_may_be_used(url, bundle, tmp_path):
    file = tmp_path / "keys"
    key = "t2ipal-very-secret"
    file.write_text(f"me:{hashlib.sha256(key.encode()).hexdigest()}")
    args = served(bundle, keys={"file": str(file), "per_minute": 3}, frontends=2, cpus=0.2)
    serve.run(build(args), name="keyed", route_prefix="/keyed")

    def asked(headers):
        body = {"content": png(noise(0)), "headers": {"Content-Type": "image/png", **headers}}
        return httpx.post(f"{url}/keyed/v1/recognize", timeout=60, **body)

    assert asked({}).status_code == 401
    answers = [asked({"Authorization": f"Bearer {key}"}) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200] * 3 + [429] * 2  # of both frontends together
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    assert httpx.get(f"{url}/keyed/metrics", timeout=60).status_code == 401
    serve.delete("keyed")
    logs = Path(worker._global_node.get_logs_dir_path())
    texts = [path.read_text(errors="replace") for path in logs.rglob("*") if path.is_file()]
    assert any("/keyed/v1/recognize" in text for text in texts)
    assert not any(key in text for text in texts)


@pytest.mark.slow
def test_replicas_come_and_go_with_the_load(url, bundle):
    serve.delete("pool")
    replicas = {"min": 1, "max": 2, "up_after_s": 1.0, "down_after_s": 2.0}
    args = served(bundle, batch={"max_size": 4, "wait_s": 0.3}, replicas=replicas, cpus=0.2)
    args = args.model_copy(update={"target_ongoing_requests": 1.0})
    serve.run(build(args), name="grows", route_prefix="/grows")

    def running():
        return serve.status().applications["grows"].deployments["Replica"].replica_states.get("RUNNING", 0)

    assert running() == 1
    responses = under_load(f"{url}/grows", lambda: wait_for(lambda: running() == 2))
    assert {response.status_code for response in responses} == {200}
    wait_for(lambda: running() == 1)
    assert post(f"{url}/grows", png(noise(0))).status_code == 200
