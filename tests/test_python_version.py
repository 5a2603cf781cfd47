"""A Python that will not do is told before anything else can go wrong."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from jobs.python_version import SUPPORTED, check_python

ROOT = Path(__file__).parents[1]


def test_the_versions_are_those_of_pyproject():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    least, below = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", project["requires-python"]).groups()
    assert [minor for _, minor in SUPPORTED] == list(range(int(least), int(below)))


@pytest.mark.parametrize("version", [(3, 10), (3, 13)])
def test_another_one_is_refused(version, capsys):
    with pytest.raises(SystemExit) as ended:
        check_python(version)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert f"this is Python {version[0]}.{version[1]}, and t2ipal runs on 3.11 or 3.12\n  start" in said


def test_a_job_says_so_before_it_imports_anything():
    """As where `python` on a cluster's nodes is not that of the environment."""
    code = "import sys; sys.version_info = (3, 10, 4, 'final', 0); import jobs.pipeline"
    ended = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: this is Python 3.10, and t2ipal runs on 3.11 or 3.12\n  start")
