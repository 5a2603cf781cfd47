"""What a job prints, to a person and into the log of a submitted job."""

import re

import pytest

from jobs.console import say, stage_line, tell
from jobs.exit_code import exit_code
from t2ipal.errors import UserError
from t2ipal.stages.report import StageReport

NOTES = {"painted": 12, "left out": 0, "why": "so it is", "loss": 0.5}
REPORT = StageReport("images", 16, 4, 1, 65.04, NOTES)
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


@pytest.fixture
def submitted(monkeypatch):
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")


def test_a_person_reads_lines(capsys, monkeypatch):
    monkeypatch.delenv("RAY_JOB_CONFIG_JSON_ENV_VAR", raising=False)
    say("a table\n  row  1")
    say(stage_line(REPORT))
    assert capsys.readouterr().out == (
        "a table\n  row  1\n"
        "images          16 rows    65.0 s  painted 12  left out 0  why so it is  loss 0.50"
        "  1 of 4 shards were there\n"
    )


@pytest.mark.usefixtures("submitted")
def test_an_event_is_a_line_of_a_log(capsys):
    say("a table\n  row  1\n\n  row  2")
    assert re.fullmatch(f"{TIME} info a table; row 1; row 2\n", capsys.readouterr().out)


@pytest.mark.usefixtures("submitted")
def test_a_stage_is_told_by_names_and_values():
    told = (
        "stage=images rows=16 seconds=65.0 shards=4 shards_done_before=1 "
        'painted=12 left_out=0 why="so it is" loss=0.50'
    )
    assert stage_line(REPORT) == told


@pytest.mark.usefixtures("submitted")
def test_why_a_submitted_job_fails_is_its_last_line(capsys):
    def fail():
        say("begun")
        raise UserError("no wings", "buy some")

    assert exit_code(fail) == 2
    assert re.fullmatch(f"{TIME} error no wings; buy some\n", capsys.readouterr().err)


def test_an_error_is_told_with_its_remedy_below(capsys):
    tell(UserError("no wings", "buy some"))
    assert capsys.readouterr().err == "error: no wings\n  buy some\n"
