"""What `ray job submit --working-dir .` sends to a cluster."""

import shutil
import zipfile

import pytest
from ray._private.ray_constants import get_runtime_env_default_excludes
from ray._private.runtime_env.packaging import create_package

from tests.jobs_submit.readme import ROOT

SENT = [
    "jobs/pipeline.py",
    "jobs/recipes/mine.yaml",
    "jobs/vocabularies/mine.yaml",
    "serve/page.html",
    "t2ipal/picturebook/weights/writer/model.safetensors",
    "t2ipal/images/painter.py",
]
LEFT = [
    ".git/config",
    ".venv/bin/python",
    "runs/offline/images/images-00000.parquet",
    "tests/test_recipe.py",
    "model.safetensors",
    "models/sd15/unet/diffusion_pytorch_model.bin",
    "jobs/recipes/coco2014/val2014/1.jpg",
    "jobs/recipes/model.gguf",
    "t2ipal/__pycache__/store.cpython-311.pyc",
]


@pytest.fixture
def packed(tmp_path):
    """The names of the files that Ray packs of a copy of the repository."""
    folder = tmp_path / "t2ipal"
    for name in (*SENT, *LEFT):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    for name in (".rayignore", ".gitignore"):
        shutil.copy(ROOT / name, folder / name)
    package = tmp_path / "package.zip"
    create_package(str(folder), package, include_gitignore=True, excludes=get_runtime_env_default_excludes())
    return {name for name in zipfile.ZipFile(package).namelist() if not name.endswith("/")}


def test_the_job_and_the_models_of_the_drawn_world_are_sent(packed):
    assert set(SENT) <= packed


def test_runs_weights_tests_and_photos_are_left(packed):
    assert not packed & set(LEFT)
