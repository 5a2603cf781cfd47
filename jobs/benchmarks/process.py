"""Every measurement in a process of its own: nothing that one engine leaves behind helps or slows another."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jobs.ray_session import ENVIRONMENT
from t2ipal.errors import UserError

LAST_LINES = 20  # of what a process that failed has printed

# Ray's workers would have a lower priority than a bare engine, and lose more to whatever else runs.
EQUAL = {"RAY_worker_niceness": "0"}

Measure = Callable[..., dict[str, Any]]


def measured(
    module: str, measure: str, arguments: Mapping[str, Any], environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return what a measure of a module (see `serve`) returns for these arguments, in a new process.

    The arguments and the result are JSON. Variables of `environment` are set unless the user has set them.
    Raises UserError, with the last lines of the process, if it fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        call, result, output = (Path(folder) / name for name in ("call.json", "result.json", "output"))
        call.write_text(json.dumps({"measure": measure, "arguments": arguments}))
        with output.open("wb") as file:
            ended = subprocess.run(
                [sys.executable, "-m", module, str(call), str(result)],
                env=os.environ | in_effect(environment),
                stdout=file,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if ended.returncode:
            last = output.read_text(errors="replace").splitlines()[-LAST_LINES:]
            raise UserError(
                f"the measurement {measure} of {module} ended with {ended.returncode}:\n" + "\n".join(last),
                "put right what its last line says",
            )
        found: dict[str, Any] = json.loads(result.read_text())
        return found


def in_effect(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables that `measured` sets, with the values that they have there."""
    # Those of a job are set before the process starts: Ray reads some of them when it is imported.
    variables = ENVIRONMENT | EQUAL | dict(environment or {})
    return {name: os.environ.get(name, value) for name, value in variables.items()}


def serve(measures: Mapping[str, Measure]) -> None:
    """The main program of a module whose measures are called by `measured`."""
    call = json.loads(Path(sys.argv[1]).read_text())
    found = measures[call["measure"]](**call["arguments"])
    Path(sys.argv[2]).write_text(json.dumps(found))
