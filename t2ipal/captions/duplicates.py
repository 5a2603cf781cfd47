"""Captions that repeat an earlier one.

Only captions with the same classes are compared: "a cat on a mat" and "a dog on a mat" teach different
things. Earlier is what comes earlier in the plan, whenever it was written, so the same captions are dropped
in whatever order the shards were finished.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from rapidfuzz import fuzz, process, utils

from t2ipal.captions.collect import row_of
from t2ipal.seeds import derive_seed

CAPTIONS_AT_ONCE = 200_000


class Distinct:
    """Takes captions one after the other, and says which of them are not like one that was taken before.

    Two are alike when their indel similarity is at least `similarity`: twice the length of their longest
    common subsequence over the sum of their lengths, in lower case and without punctuation. 10,000 different
    captions of one combination of classes take 14 s, and the time grows with their square.
    """

    def __init__(self, similarity: float) -> None:
        self._similarity = similarity
        self._taken: defaultdict[tuple[int, ...], dict[str, None]] = defaultdict(dict)

    def take(self, labels: Sequence[int], text: str) -> bool:
        """Say whether a caption is like none before it; then it is taken."""
        taken, plain = self._taken[tuple(labels)], _plain(text)
        if plain in taken or (self._similarity < 1 and self._is_like_one(plain, taken)):
            return False
        taken[plain] = None
        return True

    def _is_like_one(self, plain: str, taken: dict[str, None]) -> bool:
        least = 100 * self._similarity
        return process.extractOne(plain, taken.keys(), scorer=fuzz.ratio, score_cutoff=least) is not None


def repeats(
    names: Sequence[str],
    read: Callable[[str], pa.Table],
    count: int,
    similarity: float,
    at_once: int = CAPTIONS_AT_ONCE,
) -> npt.NDArray[np.bool_]:
    """Return, for each of `count` planned rows, whether its caption repeats an earlier one.

    `read` returns the captions of a shard; `names` are all shards in order. They are gone through several
    times, each time for a part of the combinations of classes: about `at_once` captions are held in memory.
    """
    found = np.zeros(count, dtype=np.bool_)
    parts = -(-count // at_once)
    for part in range(parts):
        distinct = Distinct(similarity)
        for name in names:
            for row in read(name).select(["caption_id", "text", "labels"]).to_pylist():
                if derive_seed(*row["labels"]) % parts == part:
                    found[row_of(row["caption_id"])] = not distinct.take(row["labels"], row["text"])
    return found


def _plain(text: str) -> str:
    return " ".join(utils.default_process(text).split())
