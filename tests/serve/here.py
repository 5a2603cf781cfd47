"""The endpoint in this process: its paths, a replica, and nothing of Ray between them."""

from types import SimpleNamespace

import pytest
from ray import serve

from serve import replica
from serve.api import make_api
from serve.args import ServeArgs
from serve.call import Refusal
from serve.incoming import Refused
from serve.replica import Replica


class Here:
    """A replica behind the paths, made at the first request: batches belong to the loop that runs then."""

    def __init__(self, args):
        self.args = args
        self.admitted = []
        self._replica = None

    async def replica(self):
        if self._replica is None:
            replica = Replica.func_or_class(self.args.settings)
            await replica.reconfigure(self.args.serves.model_dump())
            self._replica = replica
        return self._replica

    async def recognize(self, call):
        return answered(await (await self.replica()).recognize(call))

    async def recognizers(self):
        return answered(await (await self.replica()).recognizers())

    async def vocabulary(self, recognizer):
        return answered(await (await self.replica()).vocabulary(recognizer))

    async def ready(self):
        await self.recognizers()

    async def metrics(self):
        return "# HELP ray_serve_nothing\n"

    async def admit(self, owner):
        self.admitted.append(owner)


def answered(said):
    if isinstance(said, Refusal):
        raise Refused(said)
    return said


def served(bundle, **settings):
    """The configuration of one recognizer."""
    return ServeArgs.model_validate({"serves": {"recognizers": {"tiny": bundle}}, **settings})


def without_ray():
    """Within, what collects batches does not miss the replica's own settings: a MonkeyPatch context."""
    patch = pytest.MonkeyPatch()
    config = SimpleNamespace(max_ongoing_requests=100)
    settings = SimpleNamespace(_deployment_config=config, app_name="here")
    patch.setattr(serve, "get_replica_context", lambda: settings)
    known: dict[str, str] = {}
    patch.setattr(replica, "remember", lambda application, sources: known.update(sources))
    patch.setattr(replica, "last_good", lambda application, name: known.get(name))
    return patch


def paths(args):
    """The application, and the service behind it."""
    here = Here(args)
    return make_api(args.settings, lambda: here), here
