"""What the job looks at in its recipe before the first stage."""

import pytest

from jobs.preflight import check_paths
from t2ipal.errors import UserError
from tests.test_recipe import changed, load


def test_a_submitted_job_needs_the_files_of_its_recipe(tmp_path, monkeypatch):
    (tmp_path / "writer").mkdir()
    recipe = load(tmp_path, changed("evaluate.dataset", "photos"))
    check_paths(recipe)  # on the user's own machine the stages themselves look
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    with pytest.raises(UserError, match=r"evaluate\.dataset is 'photos', and there is no"):
        check_paths(recipe)
    (tmp_path / "photos").mkdir()
    check_paths(recipe)
