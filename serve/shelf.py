"""The recognizers that a replica has loaded, and their change while it answers."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import torch

from serve.args import Served
from serve.call import Described, Refusal, Vocabulary
from t2ipal import Recognizer
from t2ipal.bundle import Bundle
from t2ipal.errors import UserError
from t2ipal.model_thread import ModelThread

LOG = logging.getLogger("ray.serve")


@dataclass(frozen=True)
class Loaded:
    """All that is served at a moment."""

    recognizers: dict[str, Recognizer] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)  # name -> URI of the bundle that was loaded
    failed: dict[str, str] = field(default_factory=dict)  # name -> why another one was not
    default: str = ""


class Shelf:
    """Recognizers by name. Those who look see all of a change, or nothing of it."""

    def __init__(self, device: str, at_once: int, model: ModelThread, threads: int) -> None:
        """`threads` is how many the model computes with, on its own thread."""
        self._device, self._at_once, self._model, self._threads = device, at_once, model, threads
        self._now = Loaded()

    def change(self, served: Served, last_good: Callable[[str], str | None] = lambda name: None) -> None:
        """Load bundles, and then let them take the place of the former ones, which answer meanwhile.

        Of a bundle that does not load, the former one stays, or, on a replica that has none, the one that was
        loaded elsewhere before (`last_good`); `described` tells why. Raises what is wrong where there is
        neither.
        """
        # A thread that ends: on the model's own nobody would be answered, and torch has threads for each.
        with ThreadPoolExecutor(1) as loading:
            try:
                self._now = loading.submit(self._changed, served, last_good).result()
            finally:
                self._set_threads()

    def sources(self) -> dict[str, str]:
        """Return the URIs of the bundles that are loaded, by name."""
        return self._now.sources

    def failed(self) -> bool:
        """Say whether a bundle that was asked for is not the one that answers."""
        return bool(self._now.failed)

    def find(self, name: str | None) -> tuple[str, Recognizer] | Refusal:
        """Return a recognizer and its name; the default one for None."""
        now = self._now
        asked = name or now.default
        if not now.recognizers:
            return Refusal(503, "no recognizer is configured: name bundles in user_config of Replica")
        if asked not in now.recognizers:
            return Refusal(404, f"there is no recognizer {asked!r}; there are: {', '.join(now.recognizers)}")
        return asked, now.recognizers[asked]

    def described(self) -> list[Described]:
        """Say which recognizers there are."""
        now = self._now
        return [
            Described(
                name=name,
                default=name == now.default,
                version=each.version,
                method=each.card.method,
                classes=len(each.classes),
                quality=each.card.quality,
                failed=now.failed.get(name),
            )
            for name, each in now.recognizers.items()
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

    def _changed(self, served: Served, last_good: Callable[[str], str | None]) -> Loaded:
        torch.set_num_threads(1)  # of this thread
        before = self._now
        loaded: dict[str, Recognizer] = {}
        sources: dict[str, str] = {}
        failed: dict[str, str] = {}
        for name, uri in served.recognizers.items():
            try:
                loaded[name], sources[name] = self._load(uri, loaded), uri
            except Exception as error:  # of any kind, as long as there is another one
                if name in before.recognizers:
                    loaded[name], sources[name] = before.recognizers[name], before.sources[name]
                elif (known := last_good(name)) is not None and known != uri:
                    loaded[name], sources[name] = self._load(known, loaded), known
                else:
                    raise
                failed[name] = str(error)
                LOG.error("recognizer %r stays at version %s: %s", name, loaded[name].version, error)
        return Loaded(loaded, sources, failed, served.answering)

    def _load(self, uri: str, others: dict[str, Recognizer]) -> Recognizer:
        """Load a bundle, unless that version is there, and let it answer once: the first answer is slow, and
        it must fail here if at all.
        """
        bundle = Bundle.read(uri)
        known = [*self._now.recognizers.values(), *others.values()]
        for each in known:
            if each.version == bundle.version:
                return each
        wanted = bundle.card.backbone_digest
        shared = [each.backbone for each in known if each.card.backbone_digest == wanted]
        alike = [backbone for backbone in shared if backbone.recipe == bundle.card.backbone]
        recognizer = Recognizer.of(bundle, self._device, self._at_once, alike[0] if alike else None)
        self._set_threads()
        self._model(recognizer.warm_up)
        return recognizer

    def _set_threads(self) -> None:
        """Say it again: what was last said on any thread holds on those that have not computed yet."""
        self._model(torch.set_num_threads, self._threads)
