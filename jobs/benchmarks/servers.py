"""Servers of a recognizer, each started as a process of its own: ours, and two others.

    python -m jobs.benchmarks.servers t2ipal BUNDLE PORT FOLDER     our endpoint, a replica for each core
    python -m jobs.benchmarks.servers fastapi BUNDLE PORT FOLDER    FastAPI and uvicorn, an image at a time
    python -m jobs.benchmarks.servers litserve BUNDLE PORT FOLDER   LitServe, images in batches

The other two are as their users would write them. They decode and answer what our endpoint does: labels with
probabilities, places and the version.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psutil
from PIL import Image

from jobs.benchmarks.process import in_effect
from jobs.haproxy import haproxy_environment
from jobs.machine import cores
from t2ipal import Recognizer
from t2ipal.errors import UserError
from t2ipal.images.codec import decode

MAX_BATCH = 8  # LitServe's
WAIT_S = 0.01  # the same, for a batch to fill
# Of ours: on one core more images at a time are hardly faster, and more requests would only wait longer.
OUR_BATCH = 2
ONGOING = 4
PATH = "/v1/recognize"
READY_S = 180.0


@contextmanager
def running(name: str, bundle: str) -> Iterator[tuple[str, psutil.Process]]:
    """Within, a server answers; yields its URL and its process. UserError when it does not come up."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # It is killed and cannot clean up. A short path: names of sockets below it have to fit into 107 bytes.
    files = tempfile.TemporaryDirectory(prefix="t2ipal-", dir="/tmp", ignore_cleanup_errors=True)
    with files as folder, tempfile.TemporaryFile() as output:
        started = subprocess.Popen(
            [sys.executable, "-m", "jobs.benchmarks.servers", name, bundle, str(port), folder],
            env=os.environ | in_effect(),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        process = psutil.Process(started.pid)
        try:
            if not _answers(f"http://127.0.0.1:{port}/", started):
                output.seek(0)
                raise UserError(f"{name} did not start", output.read()[-2000:].decode(errors="replace"))
            yield f"http://127.0.0.1:{port}{PATH}", process
        finally:
            with suppress(psutil.NoSuchProcess):  # it may have ended by itself
                for each in [*process.children(recursive=True), process]:
                    each.kill()
            started.wait()


def _answers(url: str, process: "subprocess.Popen[bytes]") -> bool:
    """Wait until a server answers with anything but an error of its own."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + READY_S
    while time.monotonic() < end and process.poll() is None:
        try:
            opener.open(url, timeout=5).close()
            return True
        except urllib.error.HTTPError as error:
            if error.code < 500:
                return True
        except OSError:
            pass
        time.sleep(0.2)
    return False


def ours(bundle: str, port: int, folder: str) -> None:
    """A replica for each core, as recipes have it: none waits for the threads of another one."""
    os.environ.update(haproxy_environment(folder))
    import ray
    from ray import serve  # reads them when it is imported

    from serve.app import build
    from serve.args import ServeArgs

    quiet: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False}
    ray.init(num_cpus=cores(), _temp_dir=folder, _node_ip_address="127.0.0.1", **quiet)
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    settings = {
        "serves": {"recognizers": {"random": bundle}},
        "replicas": {"min": cores(), "max": cores()},
        "batch": {"max_size": OUR_BATCH},
        "max_ongoing_requests": ONGOING,
    }
    serve.run(build(ServeArgs.model_validate(settings)), name="benchmark")
    time.sleep(1e9)


def fastapi(bundle: str, port: int, folder: str) -> None:
    """An image at a time, on the thread pool that FastAPI has for functions which are not async."""
    import uvicorn
    from fastapi import Body, FastAPI

    from jobs.benchmarks.litserve_api import said

    recognizer = Recognizer.load(bundle)
    recognizer.predict([Image.new("RGB", (64, 64))])
    app = FastAPI()

    @app.post(PATH)
    def recognize(body: bytes = Body(media_type="image/jpeg")) -> dict[str, Any]:
        image = decode(body)
        return said(recognizer, image, recognizer.predict([image])[0])

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


def litserve(bundle: str, port: int, folder: str) -> None:
    """Batches, in LitServe's worker process."""
    from litserve import LitServer, server

    from jobs.benchmarks.litserve_api import Api

    server._MCP_AVAILABLE = False  # it takes the package mcp, which vLLM needs, for fastmcp, and fails

    api = Api(bundle, max_batch_size=MAX_BATCH, batch_timeout=WAIT_S, api_path=PATH)
    LitServer(api, accelerator="cpu", timeout=120).run(
        host="127.0.0.1", port=port, generate_client_file=False, log_level="warning"
    )


OURS = "t2ipal"
SERVERS = {OURS: ours, "fastapi": fastapi, "litserve": litserve}

if __name__ == "__main__":
    SERVERS[sys.argv[1]](sys.argv[2], int(sys.argv[3]), sys.argv[4])
