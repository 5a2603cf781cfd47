"""One method tuned with one seed on the features of a run: where its files lie, and what it is made from."""

import hashlib
import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Self

from t2ipal.errors import UserError
from t2ipal.method_names import parse_name, relevant_settings
from t2ipal.recipe import Recipe
from t2ipal.results import Results
from t2ipal.run_files import TUNE
from t2ipal.store import Store
from t2ipal.tuning.limited import Known, known_labels
from t2ipal.tuning.source import LABELLED, SYNTHETIC, short_digest, source_digest
from t2ipal.vocabulary import Vocabulary

if TYPE_CHECKING:
    from t2ipal.clip import Backbone
    from t2ipal.methods import Method

Origin = dict[str, str | None]

TUNED, RESULT = "tuned.safetensors", "result.json"


@dataclass(frozen=True)
class Trial:
    """A method by name, a seed, the run whose synthetic images it learns from, and a folder of its own in a
    store, which holds the labelled photos too if it learns from those.

    progress        which checkpoint is the last, and the log so far
    checkpoint-*    two files in turn, so that the last one is never the one being written
    tuned           the tuned parameters
    times           where the seconds of the attempt that came to the end went, and its rows of each phase
    result          the log and the thresholds
    manifest        of the tuned parameters and the result (t2ipal.results), written last: tuning is done
    """

    recipe: Recipe
    run: Store
    method: str
    seed: int
    store: Store
    folder: str

    @classmethod
    def of(cls, recipe: Recipe, run: Store) -> Self:
        """The one that a job tunes and deploys."""
        seed = recipe.seed if recipe.tune.seed is None else recipe.tune.seed
        return cls(recipe, run, recipe.tune.method, seed, run, TUNE)

    @property
    def progress(self) -> str:
        """Name of the file within the store."""
        return f"{self.folder}/progress.json"

    @property
    def tuned(self) -> str:
        """Name of the file within the store."""
        return f"{self.folder}/{TUNED}"

    @property
    def result(self) -> str:
        """Name of the file within the store."""
        return f"{self.folder}/{RESULT}"

    @property
    def results(self) -> Results:
        """Both of them."""
        return Results(self.store, self.folder)

    @property
    def times(self) -> str:
        """Name of the file within the store."""
        return f"{self.folder}/times.json"

    def checkpoint(self, epochs: int) -> str:
        """Name of the file of the state after that many epochs."""
        return f"{self.folder}/checkpoint-{'ab'[epochs % 2]}.safetensors"

    @property
    def table(self) -> str:
        """The table of images that it learns from."""
        return LABELLED if parse_name(self.method).source == "labelled" else SYNTHETIC

    @property
    def source(self) -> Store:
        """Where that table is."""
        return self.store if self.table == LABELLED else self.run

    @property
    def known(self) -> Known | None:
        """Which of the photos' labels it may know; None: all."""
        limit = parse_name(self.method).limit
        return None if limit is None else partial(known_labels, limit=limit, seed=self.seed)

    def origin(self) -> Origin:
        """What identifies the settings and the data; checkpoints and the result carry it.

        `data` is None while some features are missing.
        """
        return {
            "settings": self.settings_digest(),
            "data": source_digest(self.recipe, self.source, self.table),
        }

    def settings_digest(self) -> str:
        """A hash of all settings that what it learns depends on."""
        settings = {
            "method": parse_name(self.method).plain,
            "seed": self.seed,
            "settings": relevant_settings(self.method, self.recipe.methods),
            "holdout": [self.recipe.tune.holdout, self.recipe.seed],
            "vocabulary": list(Vocabulary.load(self.recipe.vocabulary).mapping().items()),
            "backbone": self.recipe.settings()["backbone"],
        }
        # Absent by default, as it was before there was such a setting.
        if self.recipe.tune.images_per_class is not None and self.table == SYNTHETIC:
            settings["images_per_class"] = self.recipe.tune.images_per_class
        if self.recipe.tune.precision != "float32":  # what was tuned before there was a choice stays as it is
            settings["precision"] = self.recipe.tune.precision
        text = json.dumps(settings, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def is_done(self) -> bool:
        """Say whether there is a result of these settings and of the features as they are now.

        It is read, as a loss of power leaves files of the right size without content.
        """
        origin = self.origin()
        if origin["data"] is None or not self.results.are_there(origin):
            return False
        return self.store.find_json(self.result) is not None

    def parameters(self) -> bytes:
        """The file of the tuned parameters; UserError where it is not the one that the result is about."""
        data = self.store.read_bytes(self.tuned)
        if short_digest(data) != self.store.read_json(self.result)["parameters"]:
            raise UserError(
                f"the tuned parameters {self.store.uri_of(self.tuned)!r} have changed since they were made",
                "delete them: the same command makes them again from the last checkpoint",
            )
        return data

    def build(self, backbone: "Backbone", exported: bool = False) -> "Method":
        """The method, untuned; `exported`: ready for the parameters in the file `tuned`."""
        from t2ipal.methods import build_method  # here, as what only plans work must not wait for torch

        classes = Vocabulary.load(self.recipe.vocabulary).names
        return build_method(self.method, backbone, classes, self.recipe.methods, self.seed, exported)

    def load(self, backbone: "Backbone") -> "Method":
        """The tuned method, in evaluation mode. Raises the UserError of `parameters`."""
        from safetensors.torch import load

        method = self.build(backbone, exported=True)
        method.load_state_dict(load(self.parameters()))
        return method.to(backbone.device).eval()
