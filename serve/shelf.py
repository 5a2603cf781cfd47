"""The recognizers that a replica has loaded, and their change while it answers."""

import logging
from collections.abc import Sequence

from PIL import Image

from serve.args import Served
from serve.call import Described, Refusal, Vocabulary
from t2ipal import Recognizer
from t2ipal.errors import UserError
from t2ipal.model_thread import ModelThread

LOG = logging.getLogger("ray.serve")


class Shelf:
    """Recognizers by name. Those who read it see all of a change, or nothing of it."""

    def __init__(self, device: str, at_once: int, model: ModelThread) -> None:
        self._device, self._at_once, self._model = device, at_once, model
        self._loaded: dict[str, Recognizer] = {}
        self._sources: dict[str, str] = {}
        self._failed: dict[str, str] = {}
        self._default = ""

    def change(self, served: Served) -> None:
        """Load bundles, and then let them take the place of the former ones.

        One that does not load is told in `described`, and the former one of its name stays; UserError where
        there is none.
        """
        loaded: dict[str, Recognizer] = {}
        failed: dict[str, str] = {}
        for name, uri in served.recognizers.items():
            try:
                loaded[name] = self._load(uri)
            except UserError as error:
                if name not in self._loaded:
                    raise
                loaded[name], failed[name] = self._loaded[name], str(error)
                LOG.error("recognizer %r stays at version %s: %s", name, loaded[name].version, error)
        self._loaded, self._failed, self._default = loaded, failed, served.answering

    def find(self, name: str | None) -> tuple[str, Recognizer] | Refusal:
        """Return a recognizer and its name; the default one for None."""
        loaded, asked = self._loaded, name or self._default
        if not loaded:
            return Refusal(503, "no recognizer is configured: name bundles in user_config of Replica")
        if asked not in loaded:
            return Refusal(404, f"there is no recognizer {asked!r}; there are: {', '.join(loaded)}")
        return asked, loaded[asked]

    def described(self) -> list[Described]:
        """Say which recognizers there are."""
        return [
            Described(
                name=name,
                default=name == self._default,
                version=each.version,
                method=each.card.method,
                classes=len(each.classes),
                quality=each.card.quality,
                failed=self._failed.get(name),
            )
            for name, each in self._loaded.items()
        ]

    def vocabulary(self, name: str | None) -> Vocabulary | Refusal:
        """Say which classes a recognizer knows."""
        found = self.find(name)
        if isinstance(found, Refusal):
            return found
        asked, recognizer = found
        return Vocabulary(
            recognizer=asked,
            version=recognizer.version,
            classes=recognizer.card.classes,
            thresholds=recognizer.thresholds(),
        )

    @staticmethod
    def refusal_of(recognizer: Recognizer, names: Sequence[str]) -> Refusal | None:
        """Say why names cannot be asked for, or encode them; on the model's thread."""
        try:
            recognizer.check_names(names)
        except UserError as error:
            return Refusal(422, f"classes: {error.problem}; {error.remedy}")
        return None

    def _load(self, uri: str) -> Recognizer:
        """Load a bundle and let it answer once: the first answer is slow, and it must fail here if at all."""
        recognizer = self._model(Recognizer.load, uri, self._device, self._at_once)
        self._model(recognizer.predict, [Image.new("RGB", (64, 64))])
        return recognizer
