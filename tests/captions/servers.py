"""Servers with OpenAI's interface: vLLM's own, and one before it that fails as servers fail."""

import itertools
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from t2ipal.picturebook.weights import resolve

KEY = "secret"
MODEL = "writer"
START_S = 240


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def vllm_server(log) -> Iterator[str]:
    """Yield the URL of a server that runs the picture world's writer."""
    port = free_port()
    options = {
        "model": resolve("picturebook:writer"),
        "served-model-name": MODEL,
        "host": "127.0.0.1",
        "port": str(port),
        "api-key": KEY,
        "max-model-len": "128",
        "dtype": "float32",
    }
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--enforce-eager"]
    for name, value in options.items():
        command += [f"--{name}", value]
    environment = os.environ | {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
    with log.open("wb") as output:
        server = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait_until_up(server, f"http://127.0.0.1:{port}/health", log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(60)


def _wait_until_up(server, url, log):
    end = time.monotonic() + START_S
    while time.monotonic() < end and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"vLLM's server did not start:\n{log.read_text()[-3000:]}")


class Small(ThreadingHTTPServer):
    """On this machine alone, and up within a context."""

    daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class Between(Small):
    """Passes requests on to a server, but answers those whose turn it is with an error; counts both."""

    def __init__(self, upstream: str, failures: dict[int, int]) -> None:
        """`failures` maps the number of a request, from 0, to the status that it gets."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream, self.failures = upstream, failures
        self.requests = self.open = self.most_open = 0
        self.lock = threading.Lock()


class Fixed(Small):
    """Gives every request the same reply, but the first `stalled` ones none for as long as it is up."""

    def __init__(
        self, body: bytes, kind: str = "application/json", status: int = 200, stalled: int = 0
    ) -> None:
        super().__init__(("127.0.0.1", 0), _FixedHandler)
        self.body, self.kind, self.status, self.stalled = body, kind, status, stalled
        self.numbers, self.ended = itertools.count(), threading.Event()

    def __exit__(self, *_):
        self.ended.set()
        super().__exit__()


class _FixedHandler(BaseHTTPRequestHandler):
    server: Fixed

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if next(self.server.numbers) < self.server.stalled:
            self.server.ended.wait()
            self.close_connection = True
            return
        self.send_response(self.server.status)
        self.send_header("Content-Type", self.server.kind)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_):
        pass


class _Handler(BaseHTTPRequestHandler):
    server: Between

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            status = self.server.failures.get(self.server.requests)
            self.server.requests += 1
            self.server.open += 1
            self.server.most_open = max(self.server.most_open, self.server.open)
        try:
            if status is None:
                self._pass_on(body)
            else:
                self.send_response(status)
                self.send_header("Retry-After", "0.01")
                self.send_header("Content-Length", "0")
                self.end_headers()
        finally:
            with self.server.lock:
                self.server.open -= 1

    def _pass_on(self, body):
        headers = {name: self.headers[name] for name in ("Authorization", "Content-Type")}
        url = self.server.upstream.removesuffix("/v1") + self.path
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60) as answer:
            content = answer.read()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass
