"""The job as a client of its own endpoint."""

import io
import json
import signal
import threading
import urllib.error
import urllib.request
from typing import Any

from PIL import Image

from t2ipal.errors import UserError

TIMEOUT_S = 60.0


def ask(url: str, image: Image.Image) -> dict[str, Any]:
    """Send an image to the endpoint and return what it says of it; UserError when it says nothing."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    request = urllib.request.Request(
        f"{url.rstrip('/')}/v1/recognize?scores=true",
        data=buffer.getvalue(),
        headers={"Content-Type": "image/png"},
    )
    # The endpoint is on this machine: a proxy of the environment would look for it on its own.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=TIMEOUT_S) as response:
            answer: dict[str, Any] = json.load(response)
    except urllib.error.HTTPError as error:
        raise UserError(
            f"the endpoint refused the image with status {error.code}: {_detail(error)}",
            "check the limits in the recipe's section serve, and the logs of Ray Serve",
        ) from error
    except OSError as error:
        raise UserError(
            f"the endpoint {url} does not answer: {error}", "check serve.host and serve.port in the recipe"
        ) from error
    (result,) = answer["results"]
    return {"recognizer": answer["recognizer"], "version": answer["version"], **result}


def _detail(error: urllib.error.HTTPError) -> str:
    """Return what the endpoint says about it."""
    text = error.read(1000).decode(errors="replace")
    try:
        return str(json.loads(text)["detail"])
    except (ValueError, KeyError, TypeError):
        return text.strip() or str(error.reason)


def wait_for_signal() -> None:
    """Return when the process is asked to stop: SIGINT (Ctrl-C) or SIGTERM."""
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()
