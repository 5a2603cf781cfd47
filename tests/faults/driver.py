"""The job as a process of its own, which can be killed, on the cluster of the tests."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from t2ipal.recipe import Recipe
from t2ipal.store import Store
from tests.faults.cluster import Nodes, until

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Driver:
    """Some stages of a recipe, by the command that a user gives."""

    command: list[str]
    environment: dict[str, str]

    @classmethod
    def of(cls, nodes: Nodes, recipe: Recipe, store: Store, stages: str, folder: Path) -> "Driver":
        """Write the recipe into a folder; nothing is started yet."""
        file = folder / "recipe.yaml"
        file.write_text(json.dumps(recipe.settings()))  # which is YAML
        job = [str(ROOT / "jobs" / "pipeline.py"), "--recipe", str(file), "--run", store.uri]
        environment = os.environ | {"RAY_ADDRESS": nodes.address}
        return cls([sys.executable, *job, "--stages", stages], environment)

    def killed_as_soon_as(self, reached: Callable[[], bool]) -> None:
        """Start it, and kill it when a point in its work is reached, or when it has ended by itself."""
        # A session of its own: Ray ends the process group of a driver that is gone, which would be ours.
        process = subprocess.Popen(
            self.command, env=self.environment, start_new_session=True, stdout=subprocess.DEVNULL
        )
        try:
            until(lambda: reached() or process.poll() is not None)
        finally:
            process.kill()
            process.wait()

    def run(self) -> str:
        """Run it to its end, which has to be a good one; return what it printed."""
        done = subprocess.run(self.command, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout
