"""What is written on the error stream, by Python or by C++ below it."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

STREAM = 2  # its file descriptor


@contextmanager
def error_stream_into(path: str) -> Iterator[None]:
    """Within, what anything in this process writes on the error stream goes to the end of a file: libraries
    greet and give advice there, without asking who reads it. Exceptions that leave are not printed yet then.
    """
    sys.stderr.flush()
    before = os.dup(STREAM)
    with open(path, "ab") as file:
        os.dup2(file.fileno(), STREAM)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(before, STREAM)
        os.close(before)
