"""Starting and stopping the endpoint of a run."""

import errno
import logging
import socket

from serve.args import ServeArgs
from t2ipal.errors import UserError
from t2ipal.recipe import Recipe
from t2ipal.store import Store

APPLICATION = "t2ipal"
BUNDLE = "bundle"


def check_port(host: str, port: int) -> None:
    """Raise UserError unless a server could listen there now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: closed is not in use
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise UserError(
                    f"port {port} of {host} is in use",
                    "stop the program that listens there, or set serve.port in the recipe to a free one",
                ) from error
            raise UserError(
                f"cannot listen on port {port} of {host!r}: {error}",
                "set serve.host to an address of this machine and serve.port to one that you may use",
            ) from error


def deploy(recipe: Recipe, store: Store) -> str:
    """Serve the run's bundle, wait until it answers, and return its URL. Needs an initialised Ray.

    Where an endpoint of an earlier call runs on the same cluster, its application is replaced.
    """
    from ray import serve

    from serve.app import build

    host, port = recipe.serve.host, recipe.serve.port
    if not store.exists(f"{BUNDLE}/recognizer.json"):
        raise UserError(f"there is no recognizer bundle in {store.uri!r}", "run the stage bundle first")
    if not serve.status().proxies:
        check_port(host, port)
    logging.getLogger("ray.serve").setLevel(logging.WARNING)  # of this process; the job tells what happens
    serve.start(http_options={"host": host, "port": port})
    args = ServeArgs.of(recipe.serve, store.uri_of(BUNDLE))
    serve.run(build(args), name=APPLICATION, route_prefix="/")
    return f"http://{_reachable(host)}:{port}"


def stop() -> None:
    """Take the application away, and Ray Serve with it where no other application runs."""
    from ray import serve

    serve.delete(APPLICATION)
    if not serve.status().applications:
        serve.shutdown()


def _reachable(host: str) -> str:
    """Return an address under which a client on this machine finds a server that listens on `host`."""
    if host in ("0.0.0.0", "::"):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
