"""The README's commands that plan are ones that the job takes, and name cluster files that are there."""

import re
import shlex

import pytest

from jobs.pipeline import _parse
from jobs.planning.cluster import read_cluster
from jobs.planning.prices import read_prices
from tests.test_pipeline import ROOT

TEXT = (ROOT / "README.md").read_text()
COMMANDS = re.findall(r"(?m)^    uv run jobs/pipeline\.py ([^#\n]*--plan[^#\n]*)", TEXT)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_plans(command):
    arguments = _parse(shlex.split(command))
    assert arguments.plan
    if arguments.cluster:
        assert read_cluster(str(ROOT / arguments.cluster), read_prices(arguments.prices)).types
