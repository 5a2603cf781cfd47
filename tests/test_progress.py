"""How far a job is, on a terminal and elsewhere."""

import os
import pty
import re
import subprocess
import sys
import time

import pytest

from jobs import progress
from jobs.progress import shown
from t2ipal.watch import Progress, unwatched

PAINTING = """
from jobs.progress import shown
from t2ipal.watch import Progress, unwatched
import time
with shown("images", unwatched) as watch:
    for done in (96, 192, 288):
        watch(Progress(done, 768, "images", {"redrawn": 2}))
        time.sleep(0.4)
print("images done")
"""


@pytest.fixture(autouse=True)
def often(monkeypatch):
    monkeypatch.delenv("RAY_JOB_CONFIG_JSON_ENV_VAR", raising=False)
    monkeypatch.setattr(progress, "PLAIN_S", 0.1)
    monkeypatch.setattr(progress, "EVENT_S", 0.1)
    monkeypatch.setattr(progress, "LOOK_S", 0.0)


def paint():
    told = []
    with shown("images", told.append) as watch:
        time.sleep(0.05)
        for done in (96, 192):
            watch(Progress(done, 768, "images", {"redrawn": done // 96}))
            time.sleep(0.25)
    assert [each.done for each in told] == [96, 192]


def test_plain_lines_say_how_many_how_fast_and_how_long(capsys):
    paint()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "images    starting, 0:00:00"
    line = r"images    192 of 768 images, (\d+)/s, 0:00:0\d left, redrawn 2, 0:00:0\d"
    last = re.fullmatch(line, lines[-1])
    assert last, lines
    assert 200 < int(last.group(1)) < 600  # 96 in a quarter of a second


def test_a_submitted_job_logs_names_and_values(capsys, monkeypatch):
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    paint()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(" info progress=images seconds=0")
    assert re.search(
        r" info progress=images seconds=\d done=192 planned=768 unit=images per_s=\d+ redrawn=2$", lines[-1]
    )


def test_a_terminal_has_one_live_line_which_goes_away():
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen([sys.executable, "-c", PAINTING], stdout=theirs, env=environment) as process:
        os.close(theirs)
        written = b""
        try:
            while part := os.read(ours, 4096):
                written += part
        except OSError:  # the other end is closed
            pass
    os.close(ours)
    assert process.returncode == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.decode())
    assert "images    288 of 768 images" in text
    assert written.decode().rstrip().endswith("\x1b[2Kimages done")  # on the erased line


def test_nobody_hears_of_what_is_over(capsys):
    with shown("images", unwatched) as watch:
        watch(Progress(1, 2, "images"))
    capsys.readouterr()
    time.sleep(0.3)
    assert not capsys.readouterr().out
