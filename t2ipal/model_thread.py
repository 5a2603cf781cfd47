"""The thread on which a process loads its model and runs it.

Two things slow a model on a CPU down in a worker of Ray Data (`jobs/benchmark.py images`), whose constructor
runs on one thread and whose calls on another. OpenMP keeps a pool of threads for each thread that has called
it; with more in them than there are cores they sleep after every operation instead of waiting a moment for
the next. And the C library gives the memory of large tensors back to the system as soon as they are freed,
and has it filled with zeros, page by page, when the next operation asks for as much.
"""

import ctypes
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

# Of <malloc.h>: what mallopt() sets, and to what. Threads have memory in heaps of 64 MiB, of which an empty
# one goes unless the pad is as large; from 32 MiB on, and no later, a block is one of the system's.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_KEEPING = {_M_TRIM_THRESHOLD: 2**31 - 1, _M_TOP_PAD: 64 * 2**20, _M_MMAP_THRESHOLD: 32 * 2**20}

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class ModelThread:
    """One thread, the same for all calls from whatever threads; `device` is torch's, such as "cuda"."""

    def __init__(self, device: str) -> None:
        if device == "cpu":
            keep_freed_memory()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="model")

    def __call__(
        self,
        function: Callable[Arguments, Result],
        /,
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        """Return what the function returns there, or raise what it raises."""
        return self.submit(function, *args, **kwargs).result()

    def submit(
        self,
        function: Callable[Arguments, Result],
        /,
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Future[Result]:
        """Have the function called there, and return at once."""
        return self._pool.submit(function, *args, **kwargs)


def keep_freed_memory() -> None:
    """Let this process keep what it frees, up to the most that it has needed, where the C library is glibc.

    Blocks above 32 MiB still come from the system and go back to it.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in _KEEPING.items():
            mallopt(parameter, value)
