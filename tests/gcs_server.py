"""An emulator of Google Cloud Storage on this machine, in a process of its own.

pyarrow holds Python's lock while it reads from there: a server in the same process would never answer.
"""

import socket
import subprocess
import sys
import time
import urllib.request
from types import TracebackType
from typing import Self
from urllib.error import URLError

BUCKET = "bucket"
PATIENCE_S = 60


class GcsServer:
    """An emulator with one bucket, in memory. Held as a context."""

    def __init__(self) -> None:
        self._port = _free_port()

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "gcp_storage_emulator", "start", "--host", "127.0.0.1", "--quiet"]
        command += ["--port", str(self._port), "--in-memory", "--default-bucket", BUCKET]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE_S
        while not self._answers():
            assert self._process.poll() is None, "the emulator has ended"
            assert time.monotonic() < deadline, "the emulator does not answer"
            time.sleep(0.05)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()

    def uri(self, folder: str) -> str:
        """The URI of a folder of the bucket."""
        query = f"scheme=http&endpoint_override=127.0.0.1%3A{self._port}&retry_limit_seconds=5"
        return f"gs://anonymous@{BUCKET}/{folder}?{query}"

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/", timeout=5):
                return True
        except URLError:
            return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
