"""How many seconds a run has spent in each stage so far."""

from collections import Counter
from collections.abc import Mapping

from t2ipal.run_files import RATES
from t2ipal.store import Store


def spent(store: Store) -> Mapping[str, float]:
    """Return the seconds of the clock by stage, in the order of their first end; none of a run that kept no
    times.

    What was made anew counts again: this is the time that was spent, not that of the files that are there.
    """
    found = store.find_json(RATES)
    seconds: Counter[str] = Counter()
    for rate in found.get("rates", []) if isinstance(found, dict) else []:
        seconds[rate["stage"]] += rate["seconds"]
    return seconds
