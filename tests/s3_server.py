"""A server of the S3 protocol on this machine, which counts its requests, and fails and is slow as it is told
to.
"""

import random
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

BUCKET = "bucket"
WRITES = ("PUT", "POST", "DELETE")

Environ = dict[str, Any]
Refusal = tuple[str, str]  # status line, and S3's code of the error

BUSY: Refusal = ("503 Service Unavailable", "SlowDown")
FULL: Refusal = ("507 Insufficient Storage", "XMinioStorageFull")  # MinIO's
READ_ONLY: Refusal = ("403 Forbidden", "AccessDenied")


class S3Server:
    """moto's S3 with one bucket, behind an application that refuses some requests. Held as a context."""

    def __init__(self) -> None:
        self.requests: list[str] = []  # the method of each
        self.refused: list[str] = []  # and of those refused
        self.written: list[str] = []  # the name of each object within the bucket, whenever it is written
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._refuse: Callable[[str], Refusal | None] = lambda method: None
        self._delay_s = 0.0
        self._before_reads: list[Callable[[], None]] = []
        self._server = make_server(
            "127.0.0.1", 0, self._answer, threaded=True, request_handler=MotoRequestHandler
        )
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        url = f"http://127.0.0.1:{self._server.server_port}/{BUCKET}"
        urllib.request.urlopen(urllib.request.Request(url, method="PUT"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def query(self) -> str:
        """The query of a URI that leads here; credentials are the environment's."""
        return f"endpoint_override=127.0.0.1:{self._server.server_port}&scheme=http&region=us-east-1"

    def uri(self, folder: str) -> str:
        """The URI of a folder of the bucket."""
        return f"s3://{BUCKET}/{folder}?{self.query}"

    @contextmanager
    def failing(self, share: float, seed: int = 0) -> Iterator[None]:
        """Within, a share of all requests is refused as a busy server does it."""
        numbers = random.Random(seed)
        with self._refusing(lambda method: BUSY if numbers.random() < share else None):
            yield

    @contextmanager
    def refusing_writes(self, why: Refusal) -> Iterator[None]:
        """Within, nothing is written or deleted."""
        with self._refusing(lambda method: why if method in WRITES else None):
            yield

    @contextmanager
    def slow_to_write(self, seconds: float) -> Iterator[None]:
        """Within, each request that writes or deletes takes longer."""
        before, self._delay_s = self._delay_s, seconds
        try:
            yield
        finally:
            self._delay_s = before

    @contextmanager
    def before_a_read(self, do: Callable[[], None]) -> Iterator[None]:
        """Within, something happens once: when the next object's content is asked for."""
        self._before_reads.append(do)
        try:
            yield
        finally:
            self._before_reads.clear()

    @contextmanager
    def _refusing(self, refuse: Callable[[str], Refusal | None]) -> Iterator[None]:
        before, self._refuse = self._refuse, refuse
        try:
            yield
        finally:
            self._refuse = before

    def _answer(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        self.requests.append(method)
        refusal = self._refuse(method)
        if refusal is None:
            return self._take(environ, start_response)
        self.refused.append(method)
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        status, code = refusal
        body = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
        start_response(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        return [] if method == "HEAD" else [body]

    def _take(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in WRITES:
            time.sleep(self._delay_s)
        if environ["REQUEST_METHOD"] == "GET" and self._before_reads:
            self._before_reads.pop()()
        answer: Iterable[bytes] = self._moto(environ, start_response)
        if _makes_an_object(environ):
            self.written.append(environ["PATH_INFO"].removeprefix(f"/{BUCKET}/"))
        return answer


def _makes_an_object(environ: Environ) -> bool:
    """A whole one, or the last request of an upload in parts."""
    method, query = environ["REQUEST_METHOD"], environ.get("QUERY_STRING", "")
    return (method == "PUT" and "partNumber" not in query) or (method == "POST" and "uploadId" in query)
