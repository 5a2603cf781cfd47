"""Starting and stopping the endpoint of a run."""

import errno
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from serve.args import ServeArgs
from t2ipal.errors import UserError
from t2ipal.recipe import Recipe
from t2ipal.serve_recipe import APPLICATION, ServeRecipe
from t2ipal.store import Store

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


def check_cluster(serve: ServeRecipe) -> None:
    """Raise UserError unless the cluster has room for this endpoint beside what is there. Needs Ray."""
    if (client := _running()) is None:
        check_port(serve.host, serve.port)
        return
    listens = (client.http_config.host, client.http_config.port)
    if listens != (serve.host, serve.port):
        raise UserError(
            f"Ray Serve listens on {listens[0]}:{listens[1]} on this cluster, "
            f"and the recipe says {serve.host}:{serve.port}",
            f"set serve.host to {listens[0]} and serve.port to {listens[1]}, or use another cluster",
        )
    for name, application in client.get_serve_details()["applications"].items():
        if name == serve.application or application.get("route_prefix") == _route(serve):
            raise UserError(
                f"the application {name!r} on this cluster is already served at "
                f"{application.get('route_prefix')}, and this job did not start it",
                "set serve.application in the recipe to a name of its own (it becomes the path of the URL), "
                "or take that application away first",
            )


@contextmanager
def deployed(recipe: Recipe, store: Store, lasts: bool = False) -> Iterator[str]:
    """Within, the run's bundle is served; yields its URL when it answers. Needs an initialised Ray.

    What was started here is taken away at the end, also of a start that failed, unless it `lasts`: a private
    cluster ends as a whole.
    """
    from ray import serve

    from serve.app import build

    settings = recipe.serve
    if not store.exists(f"{BUNDLE}/recognizer.json"):
        raise UserError(f"there is no recognizer bundle in {store.uri!r}", "run the stage bundle first")
    check_cluster(settings)
    starts = _running() is None
    logging.getLogger("ray.serve").setLevel(logging.WARNING)  # of this process; the job tells what happens
    try:
        serve.start(http_options={"host": settings.host, "port": settings.port})
        args = ServeArgs.of(settings, recipe.name, store.uri_of(BUNDLE))
        serve.run(build(args), name=settings.application, route_prefix=_route(settings))
        yield f"http://{_reachable(settings.host)}:{settings.port}{_route(settings).rstrip('/')}"
    except BaseException:
        with suppress(Exception):  # what went wrong first is what has to be told
            _stop(settings.application, starts, lasts)
        raise
    _stop(settings.application, starts, lasts)


def _stop(application: str, serve_is_ours: bool, lasts: bool) -> None:
    """Take the application away, and Ray Serve with it if it is ours and nobody else uses it by now."""
    from ray import serve

    if lasts or _running() is None:
        return
    serve.delete(application)
    if serve_is_ours and not serve.status().applications:
        serve.shutdown()


def _running() -> Any:
    """Return Ray's client of the Serve that runs on the cluster, or None.

    Its public functions start Serve where there is none, and do not tell where it listens.
    """
    from ray.serve.context import _get_global_client

    return _get_global_client(raise_if_no_controller_running=False)


def _route(serve: ServeRecipe) -> str:
    """Return the path of the URL: applications beside each other need different ones."""
    return "/" if serve.application == APPLICATION else f"/{serve.application}"


def _reachable(host: str) -> str:
    """Return an address under which a client on this machine finds a server that listens on `host`."""
    if host in ("0.0.0.0", "::"):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
