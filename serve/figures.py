"""What a replica measures, for Prometheus: Serve's own figures count requests, these count images."""

from collections import Counter as Count

from ray.serve.metrics import Counter, Histogram

from serve.call import Answer, ImageError

_MS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000]


class Figures:
    """Images answered, by recognizer and status, and the time of an answer's parts."""

    def __init__(self) -> None:
        self._images = Counter("t2ipal_images", "Images answered.", tag_keys=("recognizer", "status"))
        self._decode = Histogram("t2ipal_decode_ms", "Reading a request's images, in ms.", _MS)
        self._model = Histogram("t2ipal_model_ms", "Waiting for the model and its answer, in ms.", _MS)

    def count(self, answer: Answer) -> None:
        """Count an answer."""
        statuses = Count(each.status if isinstance(each, ImageError) else 200 for each in answer.results)
        for status, images in statuses.items():
            self._images.inc(images, {"recognizer": answer.recognizer, "status": str(status)})
        self._decode.observe(answer.timings_ms.decode)
        self._model.observe(answer.timings_ms.model)
