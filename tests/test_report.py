"""jobs/report.py on finished, stopped and missing runs."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from jobs import report, verify
from t2ipal.lease import Lease
from t2ipal.results import MANIFEST
from t2ipal.run_files import REPORT, REPORT_PAGE
from t2ipal.stages import bundle, evaluate, page, tune
from t2ipal.store import Store
from tests.finished_images import compute_features, finished_images, finished_run
from tests.report.reading import read

README = (Path(__file__).parents[1] / "README.md").read_text()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return finished_run(tmp_path_factory.mktemp("finished"))


@pytest.fixture
def run(finished, tmp_path):
    """A copy of a finished run."""
    return Store.open(str(shutil.copytree(finished[1].root, tmp_path / "run")))


def test_the_page_of_a_finished_run(run, finished, capsys):
    assert report.main([run.uri]) == 0
    assert capsys.readouterr().out == f"report {run.uri}/report/index.html\n"
    assert read(run.read_bytes(REPORT_PAGE)).number("t2i_pal/mAP")
    run.claim(finished[0])
    assert page.pending(finished[0], run) == []  # a job has nothing to add


def test_the_page_of_a_run_that_was_stopped(tmp_path, capsys):
    recipe, store = finished_images(tmp_path)
    assert report.main([store.uri]) == 0
    assert "This run is not finished" in read(store.read_bytes(REPORT_PAGE)).words()
    compute_features(recipe, store)
    for stage in (tune, evaluate, bundle):
        verify.main([store.uri])
        assert "report                       1 files are right" in capsys.readouterr().out
        stage.run(recipe, store)
    assert page.pending(recipe, store) == [REPORT_PAGE]
    verify.main([store.uri])  # what it shows is no longer all
    assert f"changed  {REPORT}/{MANIFEST}: what these files were made from" in capsys.readouterr().out


def test_a_page_elsewhere_leaves_the_run_as_it_is(run, tmp_path, capsys):
    out = tmp_path / "page.html"
    assert report.main([run.uri, "--out", str(out)]) == 0
    assert read(out.read_bytes()).number("t2i_pal/mAP")
    assert not run.exists(REPORT_PAGE)
    assert str(out) in capsys.readouterr().out


def test_two_runs_side_by_side(run, finished, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert report.main([finished[1].uri, run.uri]) == 0
    found = read((tmp_path / "comparison.html").read_bytes())
    assert found.number("difference/mAP")[0] == 0
    assert report.main([finished[1].uri, run.uri, "--out", "other.html"]) == 0
    assert (tmp_path / "other.html").exists()


def test_mistakes_are_told_without_a_traceback(run, tmp_path, capsys):
    def refused(*arguments):
        assert report.main([*map(str, arguments)]) == 2
        return capsys.readouterr().err

    assert "there is no run in" in refused(tmp_path / "nowhere")
    assert "there is no run in" in refused(run.uri, tmp_path / "nowhere")
    assert "give another file with --out" in refused(run.uri, "--out", tmp_path / "no" / "folder.html")
    with Lease(run):
        assert "another job" in refused(run.uri)


COMMANDS = re.findall(r"uv run (jobs/report\.py .+?)(?:  |$)", f"{report.__doc__}\n{README}", re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_documented_commands_are_understood(command):
    _, *arguments = shlex.split(command)
    given = report._parse(arguments)
    assert given.run.startswith("runs/")
    assert (given.other is None) == ("runs/b" not in command)


def test_verification_knows_the_page(run, capsys):
    report.main([run.uri])

    def told():
        verify.main([run.uri])
        return [line for line in capsys.readouterr().out.splitlines() if REPORT in line]

    assert told()[-1:] == ["report                       1 files are right"]
    run.write_bytes(REPORT_PAGE, run.read_bytes(REPORT_PAGE)[:-3])
    assert any("torn" in line and REPORT_PAGE in line for line in told())
    verify.main([run.uri, "--repair"])
    assert not run.exists(REPORT_PAGE)
    run.write_bytes("report/notes.html", b"mine")
    assert any("stray" in line and "notes.html" in line for line in told())
