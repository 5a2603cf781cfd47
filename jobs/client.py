"""The job as a client of its own endpoint."""

import io
import json
import signal
import threading
import urllib.request
from typing import Any

from PIL import Image

TIMEOUT_S = 60.0


def ask(url: str, image: Image.Image) -> dict[str, Any]:
    """Send an image to the endpoint and return its answer; OSError when there is none."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    request = urllib.request.Request(
        f"{url.rstrip('/')}/v1/labels", data=buffer.getvalue(), headers={"Content-Type": "image/png"}
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


def wait_for_signal() -> None:
    """Return when the process is asked to stop: SIGINT (Ctrl-C) or SIGTERM."""
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()
