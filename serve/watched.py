"""A recognizer that notices when it has stopped working."""

from collections.abc import Sequence

from PIL import Image

from t2ipal.bundle import Prediction, Recognizer

FAILURES_TO_REPLACE = 3


class WatchedRecognizer:
    """Counts failures in a row; bad images are refused before, so these are the replica's own."""

    def __init__(self, recognizer: Recognizer) -> None:
        self.card = recognizer.card
        self._recognizer = recognizer
        self._failures = 0

    def predict(self, images: Sequence[Image.Image]) -> list[Prediction]:
        """Answer for a batch of images, in their order."""
        try:
            predictions = self._recognizer.predict(images)
        except Exception:
            self._failures += 1
            raise
        self._failures = 0
        return predictions

    def check(self) -> None:
        """Raise RuntimeError after FAILURES_TO_REPLACE failures in a row (of GPU memory, for example)."""
        if self._failures >= FAILURES_TO_REPLACE:
            raise RuntimeError(f"the last {self._failures} batches failed")
