"""The README's commands around clusters are such that Ray and the job understand them."""

import re
import shlex

import click
import pytest
from ray.scripts.scripts import cli

from jobs import pipeline
from tests.jobs_submit.readme import ROOT, readme_exports

TEXT = (ROOT / "README.md").read_text().replace("\\\n", "")
COMMANDS = re.findall(r"^    uv run (ray .*?)(?:  +#.*)?(?: > /dev/null.*)?$", TEXT, re.MULTILINE)


def parsed(command, arguments, parent=None):
    """Return the innermost of Ray's commands that arguments call, with its parameters."""
    if not isinstance(command, click.Group):
        return command.make_context(command.name, list(arguments), parent=parent)
    own = click.Context(command, parent=parent)
    inner = command.get_command(own, arguments[0])
    assert inner is not None, arguments[0]
    return parsed(inner, arguments[1:], own)


def test_there_are_such_commands():
    called = {" ".join(shlex.split(command)[1:3]) for command in COMMANDS}
    assert {"get-auth-token --generate", "start --head", "job submit", "stop"} <= called


@pytest.mark.parametrize("command", COMMANDS)
def test_ray_knows_its_arguments(command):
    found = parsed(cli, shlex.split(command)[1:])
    if found.command.name == "submit":
        python, script, *arguments = found.params["entrypoint"]
        assert (python, script) == ("python", "jobs/pipeline.py")
        pipeline._parse(arguments)
        assert found.params["working_dir"] == "."


def test_a_token_is_asked_for():
    assert readme_exports()["RAY_AUTH_MODE"] == "token"
