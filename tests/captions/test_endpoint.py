"""Against vLLM's own server, which one process of the suite starts once."""

import sys

import pytest

from t2ipal.captions.collect import answer_seed
from t2ipal.captions.endpoint import endpoint_answers
from t2ipal.captions.plan import CaptionPlan
from t2ipal.captions.requests import Request
from t2ipal.captions_recipe import EndpointRecipe
from t2ipal.errors import UserError
from t2ipal.run_files import CAPTION_PRIOR, CAPTION_REPORT
from t2ipal.stages import captions
from t2ipal.store import Store
from t2ipal.vocabulary import Vocabulary
from tests.captions.servers import KEY, MODEL, Between, free_port, vllm_server
from tests.recipes import tiny_recipe
from tests.whole_table import read_all

pytestmark = [pytest.mark.xdist_group("vllm_server"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with vllm_server(tmp_path_factory.mktemp("server") / "log") as url:
        yield url


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("WRITER_KEY", KEY)


def endpoint(url, **settings):
    return EndpointRecipe(**{"url": url, "key_variable": "WRITER_KEY", "retries": 2, **settings})


def request(index, candidate=0, text="write a caption with fish ."):
    parameters = {"temperature": 0.9, "max_tokens": 16, "seed": 100 * index + candidate}
    return Request(
        shard="s",
        index=index,
        candidate=candidate,
        messages=[{"role": "user", "content": text}],
        sampling_params=parameters,
    )


def answers(where, requests, model=MODEL):
    return {(each.index, each.candidate): each for each in endpoint_answers(where, model, requests)}


def test_an_answer_depends_on_its_seed_and_not_on_what_is_asked_beside_it(url):
    requests = [request(index, candidate) for index in range(10) for candidate in (0, 1)]
    found = answers(endpoint(url), requests)
    assert set(found) == {(index, candidate) for index in range(10) for candidate in (0, 1)}
    assert len({each.text for each in found.values()}) > 3
    assert any("fish" in each.text for each in found.values())
    alone = answers(endpoint(url, concurrency=1), [request(3, 1)])
    assert alone == {(3, 1): found[3, 1]}


def test_busy_and_ailing_servers_are_asked_again_and_no_more_than_so_many_requests_are_open(url):
    with Between(url, failures={0: 429, 3: 503, 4: 500, 9: 502}) as between:
        found = answers(
            endpoint(between.url, concurrency=3, retries=4), [request(index) for index in range(20)]
        )
        assert between.requests == 24
        assert between.most_open == 3
    assert found == answers(endpoint(url), [request(index) for index in range(20)])


def test_a_server_that_stays_ill_is_named_with_its_status(url):
    with Between(url, failures=dict.fromkeys(range(100), 503)) as between:
        where = endpoint(between.url)
        with pytest.raises(UserError, match=rf"captions\.endpoint: {where.url} answers with status 503"):
            answers(where, [request(0)])
        assert between.requests == 3  # the first time and 2 retries


def test_a_server_that_is_not_there():
    where = endpoint(f"http://127.0.0.1:{free_port()}/v1", retries=0)
    with pytest.raises(UserError, match=rf"no answer from {where.url}: .*Connect call failed"):
        answers(where, [request(index) for index in range(50)])


@pytest.mark.parametrize(
    ("settings", "model", "problem", "remedy"),
    [
        ({"key_variable": None}, MODEL, "status 401", "key_variable"),
        ({}, "nobody", "status 404: .*`nobody` does not exist", "captions.model be a name"),
    ],
)
def test_what_a_server_refuses(url, settings, model, problem, remedy):
    with pytest.raises(UserError, match=problem) as caught:
        answers(endpoint(url, **settings), [request(0)], model)
    assert remedy in caught.value.remedy


def test_a_key_goes_only_to_a_server_for_which_the_recipe_names_it(url, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(UserError, match="status 401"):
        answers(endpoint(url, key_variable=None), [request(0)])


def test_a_key_that_is_not_set(monkeypatch):
    monkeypatch.delenv("WRITER_KEY")
    with pytest.raises(UserError, match="variable 'WRITER_KEY' is not set"):
        answers(endpoint("http://127.0.0.1:1/v1"), [request(0)])


def test_one_request_that_cannot_be_answered_is_no_reason_to_end(url):
    found = answers(endpoint(url), [request(0), request(1, text="fish " * 200), request(2)])
    assert [bool(found[index, 0].error) for index in range(3)] == [False, True, False]
    assert "maximum context length" in found[1, 0].error


def test_requests_are_made_as_they_are_sent(url):
    made = []

    def requests():
        for index in range(1000):
            made.append(index)
            yield request(index)

    sent = endpoint_answers(endpoint(url, concurrency=4), MODEL, requests())
    next(sent)
    assert len(made) <= 8
    sent.close()


@pytest.mark.parametrize("number", ["first", "again"])
def test_the_stage_with_a_server_needs_no_ray(url, tmp_path, monkeypatch, number):
    for name in ("ray", "ray.data", "ray.data.llm"):
        monkeypatch.setitem(sys.modules, name, None)  # importing it would fail
    recipe = tiny_recipe(
        vocabulary="picturebook",
        captions={
            "model": MODEL,
            "count": 64,
            "shard_rows": 20,
            "classes_per_caption": [1, 3],
            "candidates": 1,
            "attempts": 4,
            "temperature": 1.4,  # so that it errs
            "drop_similar": 0.95,
            "prior": {"prompt": "write a caption with {class} , {classes} .", "answers": 2, "max_tokens": 32},
            "endpoint": {"url": url, "key_variable": "WRITER_KEY"},
        },
    )
    store = Store.open(str(tmp_path / "run"))
    store.claim(recipe)
    if number == "again":  # after an end in the middle
        with Between(url, failures=dict.fromkeys(range(32 + 40, 10**4), 503)) as between:
            ill = recipe.captions.model_copy(update={"endpoint": endpoint(between.url, retries=0)})
            with pytest.raises(UserError, match="status 503"):
                captions.run(recipe.model_copy(update={"captions": ill}), store)
        assert store.exists(CAPTION_PRIOR)
        assert len(captions.pending(recipe, store)) == 4
    report = captions.run(recipe, store)
    rows = read_all(store.shards("captions")).to_pylist()
    vocabulary = Vocabulary.load("picturebook")
    assert len(rows) == report.rows > 32
    for row in rows:
        index = int(row["caption_id"][1:])
        assert vocabulary.labels(row["text"]) == tuple(row["labels"]) == tuple(row["requested"])
        assert len(row["labels"]) == 1 + index // 16 % 3
        assert row["seed"] in [answer_seed(recipe.seed, index, candidate) for candidate in range(4)]
    figures = store.read_json(CAPTION_REPORT)
    assert len(figures["accepted"]) > 1
    assert figures["asked"] == 64 == report.rows + figures["rejected"] + figures["duplicates"]
    assert report.notes["duplicates"] == figures["duplicates"]
    assert sum(figures["classes"].values()) == sum(len(row["labels"]) for row in rows)
    assert captions.pending(recipe, store) == []
    assert set(store.read_json(CAPTION_PRIOR)["classes"]) == set(vocabulary.names)
    assert len(CaptionPlan.of(recipe).shards()) == 4
