"""Which labels of photos are known, where only some are. Shapes: N photos, C classes."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from t2ipal.method_names import Limit
from t2ipal.seeds import derive_seed

Labels = NDArray[np.bool_]
Known = Callable[[Labels, Sequence[str]], Labels]  # labels [N, C] and ids of photos -> which are known


def known_labels(labels: Labels, ids: Sequence[str], limit: Limit, seed: int) -> Labels:
    """Which of `labels` [N, C] are known, from the photos' ids and the seed alone, whatever their order.

    "labels": each label, that a class is there or that it is not, with the chance given, whatever the others
    (DualCoOp, arXiv 2206.09541, 4.1). What is known at one rate is known at all higher ones.

    "shots": all labels of the photos chosen, and none of others. Classes choose in turn, the one that
    fewest photos hold first, at random among the photos that hold it, and no more than it lacks of that many
    photos. A photo chosen for one class counts for all that it holds, so a class may get more; one that fewer
    photos hold gets all of those.
    """
    if limit.kind == "labels":
        draws = [
            np.random.default_rng(derive_seed(seed, "labels", each)).random(labels.shape[1]) for each in ids
        ]
        known: Labels = np.reshape(draws, labels.shape) < limit.amount / 100
        return known
    return np.repeat(shots(labels, ids, limit.amount, seed)[:, None], labels.shape[1], axis=1)


def shots(labels: Labels, ids: Sequence[str], count: int, seed: int) -> Labels:
    """Which photos [N] are chosen where `count` of each class are asked for; see `known_labels`."""
    order = np.argsort([derive_seed(seed, "shots", each) for each in ids], kind="stable")
    chosen = np.zeros(len(labels), dtype=np.bool_)
    for c in np.argsort(labels.sum(axis=0), kind="stable"):
        lacking = max(count - int(labels[chosen, c].sum()), 0)
        holders = [i for i in order if labels[i, c] and not chosen[i]]
        chosen[holders[:lacking]] = True
    return chosen
