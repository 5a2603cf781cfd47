"""`ray job submit` to a head on this machine, by the README's commands."""

import json
import re

import pytest

from jobs.verify import main as verify
from t2ipal.lease import LEASE_FILE
from t2ipal.stages.images import STAGE as IMAGES
from tests.faults.cluster import until
from tests.faults.test_images import when_written
from tests.jobs_submit.head import running_head
from tests.painted_run import begun, paint, pictures
from tests.recipes import tiny_recipe
from tests.tiny_models import save_painter

pytestmark = [pytest.mark.slow, pytest.mark.whole_job, pytest.mark.timeout(1200)]

SHARDS = 18
# time in UTC, level, text
EVENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (info|error) \S.*")
STEPS_A_SHARD = 60


@pytest.fixture(scope="module")
def head():
    with running_head(lambda _: ["--num-cpus=2"]) as head:
        yield head


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    painter = tmp_path_factory.mktemp("painter")
    save_painter(painter)
    settings = {"model": str(painter), "shard_rows": 1, "steps": STEPS_A_SHARD}
    return tiny_recipe(captions={"count": 24}, images=settings)


def painting(recipe, store, folder):
    """Return the arguments of a job that paints a run whose captions are there."""
    file = folder / "recipe.yaml"
    file.write_text(json.dumps(recipe.settings()))  # which is YAML
    return ["--recipe", str(file), "--run", store.uri, "--stages", "captions,images"]


def log_of(output):
    """Return the lines that the job itself has printed, but for the one with which Ray takes note of its log
    level.
    """
    begin, end = output.index("Running entrypoint"), output.index("WebSocket closed")
    lines = output[begin:end].splitlines()[1:-1]
    return [line for line in lines if line and "Set ray log level from environment variable" not in line]


def test_who_has_no_token_is_refused(head, tmp_path):
    done = head.ray("job", "list", RAY_AUTH_TOKEN_PATH=str(tmp_path / "none"))
    assert done.returncode != 0
    assert "token" in done.stdout.splitlines()[-1]


def test_a_job_that_is_stopped_and_submitted_again(head, recipe, tmp_path):
    store = begun(str(tmp_path / "run"), recipe)
    job = painting(recipe, store, tmp_path)
    with head.start(head.submission(*job, submission="first")) as following:
        until(lambda: bool(store.shards(IMAGES).done()) or following.poll() is not None)
        stopping = head.ray("job", "stop", "first")
        output, _ = following.communicate()
    assert stopping.returncode == following.returncode == 0, output
    assert "Job 'first' was stopped" in output
    kept = when_written(store)
    assert 0 < len(kept) < SHARDS
    assert not store.exists(LEASE_FILE)
    assert log_of(output)[-1].endswith("info stopped; the same command goes on from here")

    again = head.submit(*job, submission="first")
    assert again.returncode != 0
    assert "first already exists" in again.stdout

    done = head.submit(*job, submission="second")
    assert done.returncode == 0, done.stdout
    log = log_of(done.stdout)
    assert all(EVENT.fullmatch(line) for line in log), log
    assert log[-1].endswith(f"info run folder {store.uri}")
    (told,) = [line for line in log if "stage=images" in line]
    before = int(re.search(r" shards_done_before=(\d+) ", told).group(1))
    assert len(kept) <= before < SHARDS
    assert kept.items() <= when_written(store).items()
    assert verify([store.uri]) == 0
    alone = begun(str(tmp_path / "alone"), recipe)
    paint(recipe, alone)
    assert pictures(store) == pictures(alone)


def test_what_is_sent_to_the_cluster(head):
    (package,) = (head.temp / "session_latest" / "runtime_resources" / "working_dir_files").glob("*/")
    files = [path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert sum(path.stat().st_size for path in files) < 64 * 2**20
    sent = {str(path.relative_to(package)) for path in files}
    assert {"jobs/pipeline.py", "jobs/recipes/offline.yaml", "cluster/aws.yaml", "serve/page.html"} <= sent
    assert "t2ipal/picturebook/weights/writer/model.safetensors" in sent
    assert not {name for name in sent if name.startswith((".git/", ".venv/", "runs/", "tests/"))}


def test_a_stage_that_fails(head, recipe, tmp_path):
    store = begun(str(tmp_path / "run"), recipe)
    file = "captions/captions-00001.parquet"
    store.write_bytes(file, bytes(len(store.read_bytes(file))))  # of the size that its manifest knows
    done = head.submit(*painting(recipe, store, tmp_path), submission="third")
    assert done.returncode == 1
    assert "failed with exit code 2" in done.stdout
    reason = done.stdout.strip().splitlines()[-1]
    assert EVENT.fullmatch(reason)
    assert " error " in reason
    assert "cannot read the shard captions/captions-00001" in reason
    assert not store.exists(LEASE_FILE)
