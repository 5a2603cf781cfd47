"""A measure that says in which environment it is called."""

import os
from typing import Any

from jobs.benchmarks.process import serve


def environment() -> dict[str, Any]:
    return dict(os.environ)


if __name__ == "__main__":
    serve({"environment": environment})
