"""The job as a client, of a server that says what it is told to."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from PIL import Image

from jobs.client import ask
from t2ipal.errors import UserError
from tests.serve.http import free_port

IMAGE = Image.new("RGB", (8, 8))


@pytest.fixture
def server():
    """The server's URL, and the status and body of its answers."""
    answer = {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(answer["status"])
            self.end_headers()
            self.wfile.write(answer["body"])

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}", answer
        http.shutdown()


def test_no_proxy_stands_between_the_job_and_its_endpoint(server, monkeypatch):
    url, answer = server
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")  # where nobody listens
    monkeypatch.delenv("no_proxy", raising=False)
    answer.update(status=200, body=b'{"recognizer": "r", "version": "v", "results": [{"labels": []}]}')
    assert ask(url, IMAGE) == {"recognizer": "r", "version": "v", "labels": []}


@pytest.mark.parametrize(
    "body", [json.dumps({"detail": "the body is larger than 9 bytes"}).encode(), b"larger"]
)
def test_a_refusal_is_told_with_its_reason(server, body):
    url, answer = server
    answer.update(status=413, body=body)
    with pytest.raises(UserError, match=r"status 413: (the body is )?larger"):
        ask(url, IMAGE)


def test_an_endpoint_that_is_not_there():
    with pytest.raises(UserError, match=r"does not answer: .*refused"):
        ask(f"http://127.0.0.1:{free_port()}", IMAGE)
