"""How often each key is used: one process counts for all frontends."""

import math
import time

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from ray import serve


@serve.deployment(ray_actor_options={"num_cpus": 0})
class Rates:
    """Requests of each key within a minute that moves on."""

    def __init__(self, per_minute: int) -> None:
        self._limit = RateLimitItemPerMinute(per_minute)
        self._counter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def wait_s(self, owner: str) -> int:
        """Count a request and return 0, or the seconds to wait where it is one too many."""
        if self._counter.hit(self._limit, owner):
            return 0
        reset, _ = self._counter.get_window_stats(self._limit, owner)
        return max(math.ceil(reset - time.time()), 1)
