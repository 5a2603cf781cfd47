import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from t2ipal.model_thread import ModelThread

# Tensors as a model makes them, several at once; prints how many pages the system had to fill for them.
TENSORS = """
import resource, sys, torch
from t2ipal.model_thread import ModelThread

def compute():
    for _ in range(10):
        tensors = [torch.ones(3 * 2**18) for _ in range(64)]  # 3 MiB each
        del tensors

on_its_thread = ModelThread(sys.argv[1])
on_its_thread(compute)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
on_its_thread(compute)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def pages(device):
    command = [sys.executable, "-c", TENSORS, device]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_calls_from_all_threads_are_on_one():
    on_its_thread = ModelThread("cpu")
    with ThreadPoolExecutor(3) as callers:
        met = list(callers.map(lambda _: on_its_thread(threading.get_ident), range(9)))
    assert len(set(met)) == 1
    assert met[0] != threading.get_ident()
    assert on_its_thread(divmod, 7, 2) == (3, 1)
    assert on_its_thread(int, "11", base=2) == 3


def test_what_a_call_raises_is_raised():
    with pytest.raises(ZeroDivisionError):
        ModelThread("cpu")(divmod, 1, 0)


def test_memory_that_is_freed_is_used_again_on_a_cpu_only():
    assert pages("cpu") < 100 < 1000 < pages("cuda")
