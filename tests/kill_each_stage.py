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

import psutil

from t2ipal.recipe import load_recipe
from t2ipal.store import Store

ROOT = Path(__file__).parents[1]
OFFLINE = ROOT / "jobs" / "recipes" / "offline.yaml"
TABLES = ("captions", "images", "features", "caption_features", "test_features")
RESULTS = ("tune/result.json", "evaluation/metrics.json", "bundle/recognizer.json")
# What a stage has left when it is killed: its first shard, a checkpoint, a part of its files.
MARKS = {
    "captions": "captions/_manifests/*.json",
    "images": "images/_manifests/*.json",
    "features": "*features/_manifests/*.json",
    "tune": "tune/progress.json",
    "evaluate": "evaluation/predictions/_manifests/*.json",
    "bundle": "bundle/recognizer.safetensors",
    "deploy": "bundle/recognizer.json",
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
        same = _compare(_open(reference), _open(str(run)))
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
    files += [
        run / name for name in ("tune/result.json", "evaluation/metrics.json", "bundle/recognizer.json")
    ]
    return {path: path.stat().st_mtime_ns for path in files if path.exists()}


def _open(run: str) -> Store:
    store = Store.open(run)
    store.claim(load_recipe(OFFLINE))
    return store


def _compare(whole: Store, killed: Store) -> bool:
    """Print what the two runs share; return whether no row is lost or doubled and paintings are the same."""
    sound = True
    tables = [store.shards("captions").read_all(["caption_id", "text"]) for store in (whole, killed)]
    first, second = (dict(zip(*table.to_pydict().values(), strict=True)) for table in tables)
    equal = {key for key in first if second.get(key) == first[key]}
    print(f"captions: {len(first)} and {len(second)} rows, {len(equal)} the same")
    pictures = [
        store.shards("images").read_all(["image_id", "caption_id", "sha256"]) for store in (whole, killed)
    ]
    for name, captions, images in zip(("left alone", "killed"), (first, second), pictures, strict=True):
        ids = images["image_id"].to_pylist()
        per_caption = load_recipe(OFFLINE).images.per_caption
        expected = {f"{caption}-{k}" for caption in captions for k in range(per_caption)}
        print(f"images, {name}: {len(ids)} rows, {len(set(ids))} ids, {len(expected)} expected")
        sound &= len(ids) == len(set(ids)) and set(ids) == expected
    digests = [dict(zip(p["image_id"].to_pylist(), p["sha256"].to_pylist(), strict=True)) for p in pictures]
    comparable = [key for key in digests[0] if key.rpartition("-")[0] in equal]
    differ = [key for key in comparable if digests[0][key] != digests[1][key]]
    print(f"images of the same captions: {len(comparable)}, with other pixels: {len(differ)}")
    return sound and not differ


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
