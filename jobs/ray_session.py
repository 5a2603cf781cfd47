"""The Ray cluster that a job runs on: the one it was submitted to, or a private one while it lasts."""

import logging
import os
import re
import shutil
import tempfile
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from jobs.checks import joins_cluster
from jobs.console import say
from jobs.error_stream import error_stream_into
from jobs.haproxy import HOSTS, haproxy_environment
from t2ipal.errors import UserError
from t2ipal.recipe import RayRecipe
from t2ipal.vllm_environment import QUIET

# What the user has set in the environment wins over these.
ENVIRONMENT = {
    # Else every worker that `uv run` is an ancestor of builds the environment anew.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray's processes write advice at error level into the driver's output; what fails raises in Python.
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    # Serve kills a proxy that is not up after 5 s, which is short for a busy or cold machine.
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
    # Its controller looks at everything ten times a second, which takes 6 % of a core.
    "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.5",
    **QUIET,
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # Ray will stop hiding GPUs from workers that ask for none; take the new behaviour and spare the warning.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
ATTEMPTS = 3
LOG = "libraries.log"  # what they write on the error stream of a job
OFFLINE = {"HF_HUB_OFFLINE": "1"}


class RaySession:
    """Starts Ray when it is first needed, and leaves nothing of it running.

    Within `ray job submit`, or with the address of a cluster in RAY_ADDRESS, it joins that. Otherwise it
    starts one of its own on the loopback address, whose logs are kept only when the job fails. What libraries
    write on the error stream is then one of them.
    """

    def __init__(
        self, ray: RayRecipe, offline: bool, num_gpus: int | None = None, serves_on: str | None = None
    ) -> None:
        """`num_gpus` is how many GPUs a cluster of its own believes to have; None: the real ones. `serves_on`
        is the address on which Serve will listen; None: Serve is not started.
        """
        self._ray = ray
        self._serves_on = serves_on
        self._num_gpus = num_gpus
        self.joins = joins_cluster()
        self._folder: str | None = None
        self._started = False
        self._ending = ExitStack()
        settings = ENVIRONMENT | (OFFLINE if offline else {})
        self._variables = {name: value for name, value in settings.items() if name not in os.environ}
        os.environ.update(self._variables)  # for this process, and for those that it starts

    def __enter__(self) -> Self:
        return self

    def start(self) -> None:
        """Initialise Ray unless that is done."""
        if self._started:
            return
        self._started = True
        logging.disable(logging.INFO)  # the libraries' talk in this process; warnings stay
        if self.joins:
            self._initialise()
        else:
            # Else Ray replaces the loopback address by that of a network card. It reads this on import.
            os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
            # Not where TMPDIR says: sockets lie below it, and their paths have to fit into 107 bytes.
            self._folder = tempfile.mkdtemp(prefix="t2ipal-", dir="/tmp")
            if self._serves_on in HOSTS:
                self._serve_by_haproxy(self._folder)
            self._ending.enter_context(error_stream_into(f"{self._folder}/{LOG}"))
            self._start_private(self._folder)

    def _serve_by_haproxy(self, folder: str) -> None:
        """Have Serve, which is of this cluster's processes, start it, unless the user has set otherwise."""
        for name, value in haproxy_environment(folder).items():
            if name not in os.environ:
                os.environ[name] = value
                self._ending.callback(os.environ.pop, name, None)

    def _start_private(self, folder: str) -> None:
        memory = self._ray.object_store_mib
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._initialise(
                    address="local",
                    num_cpus=self._ray.num_cpus,
                    num_gpus=self._num_gpus,
                    object_store_memory=memory * 2**20 if memory else None,
                    include_dashboard=False,
                    _node_ip_address="127.0.0.1",
                    _temp_dir=folder,
                )
                return
            except Exception as error:
                # Ray gives its processes 15 s to report, which they can miss on a busy or cold machine.
                if attempt == ATTEMPTS or not _was_too_slow(error):
                    raise
                say(f"Ray did not start in time ({_first_line(error)}); trying again")
                import ray

                ray.shutdown()

    def resources(self) -> dict[str, float]:
        """Return what the cluster has, in all."""
        import ray

        return dict(ray.cluster_resources())

    def _initialise(self, **settings: Any) -> None:
        import ray

        try:
            ray.init(
                # The workers of a cluster do not inherit this process's environment.
                runtime_env={"env_vars": self._variables},
                logging_level=logging.ERROR,
                log_to_driver=False,
                **settings,
            )
        except RuntimeError as error:
            if not str(error).startswith("Version mismatch"):
                raise
            raise _other_versions(str(error)) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._started:
            return
        import ray

        if ray.is_initialized():
            ray.shutdown()
        self._ending.close()
        if self._folder and isinstance(error, Exception):
            say(f"the logs of Ray are kept in {self._folder}")
        elif self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)


def _was_too_slow(error: Exception) -> bool:
    """Say whether Ray gave up waiting; it raises a bare Exception for some of its processes."""
    return isinstance(error, TimeoutError) or "timed out" in str(error).lower()


def _other_versions(said: str) -> UserError:
    """Return what Ray says of a driver that does not suit its cluster, in one line."""
    (ray, python), (our_ray, our_python) = re.findall(r"Ray: (\S+)\s+Python: (\S+)", said)
    return UserError(
        f"the cluster runs Ray {ray} on Python {python}, and this job Ray {our_ray} on Python {our_python}",
        "start the job with the Python of the cluster's environment, as `ray job submit` does, or give both "
        "the same",
    )


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
