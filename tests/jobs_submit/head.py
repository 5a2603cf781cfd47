"""A Ray head with its job server, and jobs submitted to it, by the commands that a user gives."""

import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil

from jobs.haproxy import free_ports
from tests.faults.cluster import until
from tests.jobs_submit.readme import ROOT, readme_exports

BIN = Path(sys.executable).parent
# Those of its own processes; the workers' are the kernel's choice.
PORTS = (
    "port",
    "dashboard-port",
    "ray-client-server-port",
    "node-manager-port",
    "object-manager-port",
    "dashboard-agent-listen-port",
    "dashboard-agent-grpc-port",
    "runtime-env-agent-port",
    "metrics-export-port",
)
ATTEMPTS = 3  # Ray gives a node 30 s to come up, which it can miss on a busy machine


class Head:
    """A head whose files lie in a folder: `address` is that of its job server, `gcs` the cluster's, and its
    processes are children of `process`.
    """

    process: psutil.Process

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.temp, self.log = folder / "ray", folder / "head.log"
        self.ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        self.address = f"http://127.0.0.1:{self.ports['dashboard-port']}"
        self.gcs = f"127.0.0.1:{self.ports['port']}"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        own = {"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(folder), "OMP_NUM_THREADS": "1"}
        patient = {"RAY_JOB_STOP_WAIT_TIME_S": "30"}
        self.environment = inherited | own | patient | readme_exports()

    def ray(self, *arguments: str, **changes: str) -> "subprocess.CompletedProcess[str]":
        """Run one of Ray's commands to its end, from the root of the repository; its output is one."""
        with self.start(arguments, **changes) as process:
            output, _ = process.communicate()
        return subprocess.CompletedProcess(arguments, process.returncode, output)

    def start(self, arguments: Sequence[str], **changes: str) -> "subprocess.Popen[str]":
        """Start one of Ray's commands."""
        return subprocess.Popen(
            [str(BIN / "ray"), *arguments],
            cwd=ROOT,
            env=self.environment | {"RAY_API_SERVER_ADDRESS": self.address} | changes,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def submit(self, *job: str, submission: str) -> "subprocess.CompletedProcess[str]":
        """Submit a job, follow it to its end, and return what `ray job submit` did."""
        return self.ray(*self.submission(*job, submission=submission))

    def submission(self, *job: str, submission: str) -> list[str]:
        """Return the arguments of `ray job submit`, as the README has them."""
        options = ["--submission-id", submission, "--working-dir", "."]
        return ["job", "submit", *options, "--", "python", "jobs/pipeline.py", *job]

    def is_up(self) -> bool:
        """Say whether the head is complete and its job server answers, which refuses who has no token."""
        if "Ray runtime started" not in self.log.read_text():
            return False
        try:
            urllib.request.urlopen(f"{self.address}/api/jobs/", timeout=5)
        except urllib.error.HTTPError as error:
            return error.code == 401
        except OSError:
            return False
        raise AssertionError("whoever asks is let in")


@contextmanager
def running_head(arguments: Callable[[Head], Sequence[str]], **variables: str) -> Iterator[Head]:
    """A head with token authentication that takes jobs, started with some more arguments. Nothing of it is
    left afterwards, nor of nodes that it has started.
    """
    # A short path of its own: socket names below it have to fit into 107 bytes.
    with ExitStack() as stack:
        folder = tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True)
        head = Head(Path(stack.enter_context(folder)))
        head.environment |= variables
        assert head.ray("get-auth-token", "--generate").returncode == 0
        for _ in range(ATTEMPTS):
            process = _started(head, arguments(head))
            stack.callback(_end, process)
            head.process = psutil.Process(process.pid)
            until(lambda process=process: process.poll() is not None or head.is_up())
            if process.poll() is None:
                break
        assert process.poll() is None, head.log.read_text()
        yield head


def _started(head: Head, arguments: Sequence[str]) -> "subprocess.Popen[bytes]":
    """Start the head's processes, as children of the one that is returned."""
    fixed = ["--head", "--block", "--node-ip-address=127.0.0.1", f"--temp-dir={head.temp}"]
    ports = [f"--{name}={port}" for name, port in head.ports.items()]
    command = [str(BIN / "ray"), "start", *fixed, *ports, "--object-store-memory=100000000", *arguments]
    with head.log.open("wb") as log:
        return subprocess.Popen(
            command, cwd=head.folder, env=head.environment, stdout=log, stderr=log, start_new_session=True
        )


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kill a head and all that it has started: nodes, too, which would wait for another head."""
    started = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    for each in (process, *started):
        with suppress(psutil.NoSuchProcess):
            each.kill()
    process.wait()
    psutil.wait_procs(started)
