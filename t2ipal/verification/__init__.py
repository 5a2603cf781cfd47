"""Is a run's data what its recipe says and what was once written? Read back, shard by shard."""

from t2ipal.verification.fault import Fault
from t2ipal.verification.verify import TableReport, open_run, repair, verify

__all__ = ["Fault", "TableReport", "open_run", "repair", "verify"]
