"""Entry points. A Python that will not do is told here, before anything else is imported."""

from jobs.python_version import check_python

check_python()
