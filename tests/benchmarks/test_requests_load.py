"""Load, on a server that takes its time and refuses some of it."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from jobs.benchmarks.requests_load import Target, at_rate, saturate

TAKES_S = 0.05


@pytest.fixture
def target():
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(TAKES_S)
            self.send_response(429 if body == b"too much" else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield Target(f"http://127.0.0.1:{http.server_port}/", "image/jpeg", [b"good"])
        http.shutdown()


def test_clients_that_never_wait(target):
    answered = saturate(target, concurrency=4, seconds=1.0)
    assert set(answered.statuses) == {200}
    assert answered.rate == pytest.approx(4 / TAKES_S, rel=0.5)
    assert answered.percentile(50) >= 1000 * TAKES_S
    assert answered.percentile(99) >= answered.percentile(50)


def test_requests_come_at_their_rate_whatever_is_unanswered(target):
    answered = at_rate(target, rate=40, seconds=2.0)
    assert answered.statuses[200] == len(answered.latencies) == pytest.approx(80, rel=0.4)


def test_refusals_are_counted_by_their_status(target):
    mixed = Target(target.url, target.kind, [b"good", b"too much"])
    answered = at_rate(mixed, rate=40, seconds=1.0)
    assert answered.without_retry_after == answered.statuses[429] > 0
    assert abs(answered.statuses[200] - answered.statuses[429]) <= 1
    assert len(answered.latencies) == answered.statuses[200]


def test_a_server_that_is_not_there():
    answered = saturate(Target("http://127.0.0.1:9/", "image/jpeg", [b""]), concurrency=1, seconds=0.05)
    assert set(answered.statuses) == {0}
    assert answered.rate == 0
