"""Servers that answer, but not as a language model does."""

import time

import pytest

from t2ipal.captions.endpoint import endpoint_answers
from t2ipal.captions.requests import Request
from t2ipal.captions_recipe import EndpointRecipe
from t2ipal.errors import UserError
from tests.captions.servers import Fixed

WHOLE = b'{"choices": [{"message": {"role": "assistant", "content": "a fish"}}]}'


def requests(count):
    message, parameters = {"role": "user", "content": "a fish"}, {"max_tokens": 8, "seed": 1}
    return [
        Request(shard="s", index=i, candidate=0, messages=[message], sampling_params=parameters)
        for i in range(count)
    ]


def answers(server, count, **settings):
    where = EndpointRecipe(**{"url": server.url, "retries": 0, **settings})
    return endpoint_answers(where, "writer", requests(count))


def test_no_more_is_asked_of_a_reply_than_its_text():
    with Fixed(WHOLE) as server:
        assert [(each.index, each.text, each.error) for each in answers(server, 1)] == [(0, "a fish", "")]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<html>please log in</html>", "text/html"),
        (b'{"error": {"message": "no model is loaded"}}', "application/json"),
        (b'{"choices": []}', "application/json"),
        (b'{"choices": [{"text": "a fish"}]}', "application/json"),
        (b'{"choices": null}', "application/json"),
        (b"[1]", "application/json"),
        (WHOLE[:-20], "application/json"),
        (b"\xff\xfe", "application/json"),
        (b"", "application/json"),
    ],
)
def test_a_reply_that_is_no_completion(body, kind):
    with Fixed(body, kind) as server, pytest.raises(UserError, match="answers with no completion") as caught:
        list(answers(server, 1))
    assert server.url in caught.value.problem
    assert repr(body.decode(errors="replace")) in caught.value.problem
    assert "captions.endpoint.url" in caught.value.remedy


def test_requests_under_way_are_given_up_when_one_ends_everything():
    with Fixed(b"{}", status=401, stalled=3) as server:
        start = time.monotonic()
        with pytest.raises(UserError, match="status 401"):
            list(answers(server, 4, timeout_s=60))
        assert time.monotonic() - start < 20


def test_requests_under_way_are_given_up_when_no_more_answers_are_wanted():
    with Fixed(WHOLE, stalled=3) as server:
        sent = answers(server, 100, timeout_s=60, concurrency=4)
        assert next(sent).text == "a fish"
        start = time.monotonic()
        sent.close()
        assert time.monotonic() - start < 20
