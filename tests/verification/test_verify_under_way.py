"""Verification of a run that is not finished: drafts of captions, and a job that is at work."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.verify import main
from t2ipal.lease import Lease
from t2ipal.verification import repair, verify, verify_files
from t2ipal.verification.shard import check_shard
from tests.verification.damage import cut

DRAFTS = "captions/_drafts"


def write_drafts(store, recipe):
    """Draft a shard whole, one cut short, one under another recipe, one that is not planned."""
    shards = store.shards("captions")
    drafts = replace(shards, stage=DRAFTS)
    for name in shards.done():
        drafts.write(name, shards.read(name), {"accepted": [1]})
    cut(Path(store.path(f"{DRAFTS}/captions-00001.parquet")))
    replace(drafts, fingerprint="another").write("captions-00002", shards.read("captions-00002"))
    drafts.write("captions-00009", shards.read("captions-00002"))
    Path(store.path(f"{DRAFTS}/.captions-00002.parquet.0123.tmp")).write_bytes(b"PAR1")


def test_drafts_of_captions_are_looked_at_while_some_are_missing(copy):
    store, recipe = copy
    write_drafts(store, recipe)
    store.shards("captions").delete(["captions-00001"])
    (found,) = [report for report in verify(recipe, store) if report.table == DRAFTS]
    assert (found.shards, found.rows, found.unknown) == (1, 3, "")
    assert [(each.kind, each.name) for each in found.faults] == [
        ("torn", "captions-00001"),
        ("foreign", "captions-00002"),
        ("foreign", "captions-00009"),
    ]
    (left,) = (
        each for report in verify_files(recipe, store) for each in report.faults if each.kind == "torn"
    )
    assert str(left).startswith(f"torn     {DRAFTS}/.captions-00002.parquet.0123.tmp: a process was killed")
    repair(store, [*found.faults, left])
    assert replace(store.shards("captions"), stage=DRAFTS).written() == ["captions-00000"]
    (found,) = [report for report in verify(recipe, store) if report.table == DRAFTS]
    assert (found.shards, found.faults) == (1, [])


def test_what_is_left_of_drafts_is_no_fault_of_finished_captions(copy, capsys):
    store, recipe = copy
    write_drafts(store, recipe)
    assert main([store.uri]) == 0
    assert "_drafts" not in capsys.readouterr().out


def test_nothing_is_removed_while_a_job_is_at_work(copy, capsys):
    store, _ = copy
    with Lease(store):
        assert main([store.uri]) == 0
        assert main([store.uri, "--repair"]) == 2
    assert "another job works in" in capsys.readouterr().err


def test_what_a_job_is_writing_is_not_looked_at(copy, capsys):
    store, recipe = copy
    write_drafts(store, recipe)
    store.shards("captions").delete(["captions-00001"])
    Path(store.path("captions/_manifests/.captions-00001.json.0123.tmp")).write_bytes(b"{")
    assert main([store.uri]) == 1
    assert "_drafts" in (told := capsys.readouterr().out)
    assert "a process was killed" in told
    with Lease(store):
        assert main([store.uri]) == 1  # a shard of captions is not there yet
        told = capsys.readouterr().out
        assert f"process {os.getpid()} on " in told
        assert "missing  captions/captions-00001" in told
        assert "_drafts" not in told
        assert "a process was killed" not in told


@pytest.mark.parametrize("gone", [["rows"], ["manifest"], ["rows", "manifest"]])
def test_a_draft_that_is_committed_after_it_was_listed(copy, monkeypatch, gone):
    store, recipe = copy
    shards = store.shards("captions")
    drafts = replace(shards, stage=DRAFTS)
    for name in ("captions-00000", "captions-00001"):
        drafts.write(name, shards.read(name), {"accepted": [1]})
    shards.delete(["captions-00001"])
    paths = {
        "rows": f"{DRAFTS}/captions-00000.parquet",
        "manifest": f"{DRAFTS}/_manifests/captions-00000.json",
    }

    def checked(shards, listing, planned):
        if planned.name == "captions-00000" and shards.stage == DRAFTS:
            for each in gone:
                if store.exists(paths[each]):
                    store.delete(paths[each])
        found = check_shard(shards, listing, planned)
        if planned.name == "captions-00000" and shards.stage == DRAFTS:
            drafts.delete(["captions-00000"])  # all of it
        return found

    monkeypatch.setattr(sys.modules["t2ipal.verification.verify"], "check_shard", checked)
    (found,) = [report for report in verify(recipe, store) if report.table == DRAFTS]
    assert (found.shards, found.faults) == (1, [])
