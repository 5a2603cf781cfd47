"""Kill the offline job once in each stage, complete it by the same command, compare it with a run left alone.

    python -m tests.kill_each_stage [folder of a complete run of the offline recipe, by default runs/offline]

Prints a line for each kill, then what was kept and what is the same; ends with status 1 if a row was lost or
doubled, if something committed was written again, or if one caption text has two different paintings. It
takes about as long as two runs.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from t2ipal.captions.collect import caption_id
from t2ipal.evaluation.shards import open_photos
from t2ipal.recipe import Recipe, load_recipe
from t2ipal.results import MANIFEST
from t2ipal.run_files import BUNDLE, BUNDLE_PARAMETERS, EVALUATION, REPORT, TUNE
from t2ipal.stages import captions as captions_stage
from t2ipal.stages.images import image_id
from t2ipal.store import Store

ROOT = Path(__file__).parents[1]
OFFLINE = ROOT / "jobs" / "recipes" / "offline.yaml"
TABLES = ("captions", "images", "features", "caption_features", "test_features")
RESULTS = tuple(f"{folder}/{MANIFEST}" for folder in (TUNE, EVALUATION, BUNDLE, REPORT))
# What a stage has left when it is killed: its first shard, a checkpoint, a part of its files.
MARKS = {
    "captions": "captions/_manifests/*.json",
    "images": "images/_manifests/*.json",
    "features": "*features/_manifests/*.json",
    "tune": f"{TUNE}/progress.json",
    "evaluate": "evaluation/predictions/_manifests/*.json",
    "bundle": f"{BUNDLE}/{BUNDLE_PARAMETERS}",
    "report": f"{BUNDLE}/{MANIFEST}",
    "deploy": f"{REPORT}/{MANIFEST}",
}
PATIENCE_S = 600
GRACE_S = 120  # Ray's agents notice within a minute that their node is gone


def main(reference: str = "runs/offline") -> int:
    """Kill, complete and compare; return the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        kept: dict[Path, int] = {}
        for stage, mark in MARKS.items():
            _kill_in(stage, run, lambda mark=mark: any(run.glob(mark)))
            kept |= _committed(run)
            print(f"killed in {stage}: {len(kept)} files committed so far", flush=True)
        done = subprocess.run(_command(run), capture_output=True, text=True, check=False)
        print(done.stdout + done.stderr)
        again = [path for path, written in kept.items() if path.stat().st_mtime_ns != written]
        print(f"exit status {done.returncode}; committed files written again: {len(again)} of {len(kept)}")
        same = compare(load_recipe(OFFLINE), _open(reference), _open(str(run)))
    return int(done.returncode != 0 or bool(again) or not same)


def _command(run: Path) -> list[str]:
    return [sys.executable, str(ROOT / "jobs" / "pipeline.py"), "--run", str(run)]


def _kill_in(stage: str, run: Path, reached: Callable[[], bool]) -> None:
    """Start the job, SIGKILL its process when the stage has left its mark, and wait for its helpers' end."""
    # A session of its own: Ray ends the process group of a driver that is gone.
    job = subprocess.Popen(_command(run), stdout=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + PATIENCE_S
    while not reached():
        if job.poll() is not None or time.monotonic() > deadline:
            job.kill()
            raise SystemExit(f"{stage}: the job ended, or took too long, before there was anything to kill")
        time.sleep(0.002)
    if stage == "deploy":
        time.sleep(10)  # Serve is starting; it leaves no file to wait for
    helpers = psutil.Process(job.pid).children(recursive=True)
    os.kill(job.pid, signal.SIGKILL)
    job.wait()
    _, alive = psutil.wait_procs(helpers, timeout=GRACE_S)
    if alive:
        raise SystemExit(f"{stage}: still there {GRACE_S} s after the kill: {alive}")


def _committed(run: Path) -> dict[Path, int]:
    """Finished files and when they were written: shards with a manifest, and the results of stages."""
    store = _open(str(run))
    files = [run / table / f"{name}.parquet" for table in TABLES for name in store.shards(table).done()]
    files += [run / name for name in RESULTS]
    return {path: path.stat().st_mtime_ns for path in files if path.exists()}


def _open(run: str) -> Store:
    store = Store.open(run)
    store.claim(load_recipe(OFFLINE))
    return store


def compare(recipe: Recipe, whole: Store, killed: Store) -> bool:
    """Print what the two runs share; return whether no row is lost or doubled and paintings are the same."""
    sound = [_complete(recipe, store, name) for store, name in ((whole, "left alone"), (killed, "killed"))]
    first, second = (_column(store, "captions", "caption_id", "text") for store in (whole, killed))
    equal = {key for key, text in first.items() if second.get(key) == text}
    print(f"captions: {len(first)} and {len(second)}, {len(equal)} of them the same")
    before, after = (_column(store, "images", "image_id", "sha256") for store in (whole, killed))
    comparable = [key for key in before if key.rpartition("-")[0] in equal]
    differ = [key for key in comparable if before[key] != after.get(key)]
    print(f"images of the same captions: {len(comparable)}, with other pixels: {len(differ)}")
    return all(sound) and bool(comparable) and not differ


def _complete(recipe: Recipe, store: Store, name: str) -> bool:
    """Print and return whether every table has each of its rows once, in the plan's order."""
    test = open_photos(recipe, "test")
    captions = _ids(store, "captions")
    # Of those planned, no answer was accepted for some; what a file gives, its shards alone say.
    planned = set(captions)
    if recipe.captions is not None:
        planned = {caption_id(row) for row in range(recipe.captions.count)}
    kept = [row["image_id"] for row in _rows(store, "images", ["image_id", "kept"]) if row["kept"]]
    expected = {
        "captions": sorted(set(captions) & planned),
        "images": [image_id(each, k) for each in captions for k in range(recipe.images.per_caption)],
        "features": kept,
        "caption_features": captions,
        "test_features": [test.name(i) for i in range(len(test))] if test is not None else [],
    }
    wrong = [table for table, ids in expected.items() if _ids(store, table) != ids]
    missing = captions_stage.pending(recipe, store)
    print(f"{name}: {len(captions)} captions, {len(missing)} shards of them missing")
    print(f"  tables with lost, doubled or foreign rows: {', '.join(wrong) or 'none'}")
    return not wrong and not missing


def _ids(store: Store, table: str) -> list[str]:
    """Return the keys of all rows that lie in the folder, also in shards that nothing counts."""
    column = "caption_id" if table in ("captions", "caption_features") else "image_id"
    return [row[column] for row in _rows(store, table, [column])]


def _rows(store: Store, table: str, columns: list[str]) -> list[dict[str, Any]]:
    shards = store.shards(table)
    return [row for name in shards.written() for row in shards.read(name, columns).to_pylist()]


def _column(store: Store, table: str, key: str, value: str) -> dict[str, str]:
    return {row[key]: row[value] for row in _rows(store, table, [key, value])}


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
