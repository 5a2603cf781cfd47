"""Which Python the jobs run on. Any Python 3 can read this file, so that it can say so."""

import sys

SUPPORTED = ((3, 11), (3, 12))  # as `requires-python` in pyproject.toml


def check_python(version: "tuple[int, int]" = sys.version_info[:2]) -> None:
    """End the process unless this Python is one that the packages are pinned for."""
    if version not in SUPPORTED:
        these = " or ".join("{}.{}".format(*each) for each in SUPPORTED)
        print(
            "error: this is Python {}.{}, and t2ipal runs on {}\n"
            "  start the job with `uv run`, or with the Python of the cluster's environment, "
            "which has to be first on PATH".format(*version, these),
            file=sys.stderr,
        )
        sys.exit(2)
