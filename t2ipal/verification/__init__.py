"""Is what a run holds what its recipe says and what was once written? Read back, file by file."""

from t2ipal.verification.fault import Fault
from t2ipal.verification.files import FilesReport, not_looked_at, verify_files
from t2ipal.verification.verify import TableReport, open_run, repair, verify

__all__ = [
    "Fault",
    "FilesReport",
    "TableReport",
    "not_looked_at",
    "open_run",
    "repair",
    "verify",
    "verify_files",
]
