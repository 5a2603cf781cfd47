"""A plugin of vLLM (its entry point group "vllm.general_plugins"), which every process of an engine calls.

vLLM runs its engine in a child process that waits for requests for ever. When Ray kills the actor around it,
or the whole job is killed, nobody tells that child, and it would keep its memory, or its GPU, until reboot.
"""

import multiprocessing
import os
from threading import Thread


def end_with_parent() -> None:
    """End this process when the one that started it is gone; without effect in the outermost process."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        Thread(target=_wait_and_end, args=(parent,), name="end-with-parent", daemon=True).start()


def _wait_and_end(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)  # the main thread may be waiting in a system call: no exception would reach it
