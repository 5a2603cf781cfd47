"""What the manifests in an object store say, without asking for each of them.

A job looks at its tables again and again. Listing a thousand files is one request there, reading them is two
thousand. So what was read is kept for as long as listings say the same of a file: in the process, and for the
next one in `<table>/_index.json`. That file may be gone or old: it is believed for nothing but the contents
of files whose size and time it states.
"""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pyarrow import fs

from t2ipal.errors import StoreError

if TYPE_CHECKING:
    from t2ipal.store import Store

INDEX = "_index.json"  # readers of Parquet folders pass over it

_READERS = 32  # every file costs two round trips
_WORTH_SAVING = 64  # files that the saved index does not know
# Object stores tell time to the second: a file of the last one may be written again and look the same.
_CLOCK_TICK_NS = 2 * 10**9

Content = dict[str, Any] | None
Version = tuple[int, int]  # size in bytes, time of the last change in ns


class ManifestIndex:
    """The contents of the manifests of one run, by table. Unless it `saves`, nothing is written."""

    def __init__(self, saves: bool = False) -> None:
        self._saves = saves
        self._tables: dict[str, dict[str, tuple[Version, Content]]] = {}
        self._now_ns = 0  # by the store's clock, as far as its files tell

    def listed(self, files: Iterable[fs.FileInfo]) -> None:
        """Take note of what time it was when files were listed."""
        self._now_ns = max([self._now_ns, *(file.mtime_ns for file in files)])

    def contents(
        self, store: "Store", table: str, files: Mapping[str, fs.FileInfo], read: Callable[[str], Content]
    ) -> dict[str, Content]:
        """Return what is in the listed files, by name; `read` fetches one whose content is not known."""
        self.listed(files.values())
        if table not in self._tables:
            self._tables[table] = _load(store, table)
        known = self._tables[table]
        versions = {name: (file.size, file.mtime_ns) for name, file in files.items()}
        new = [name for name in files if name not in known or known[name][0] != versions[name]]
        with ThreadPoolExecutor(_READERS) as pool:
            fetched = dict(zip(new, pool.map(read, new), strict=True))
        settled = [name for name in new if self._now_ns - files[name].mtime_ns >= _CLOCK_TICK_NS]
        known |= {name: (versions[name], fetched[name]) for name in settled}
        if self._saves and len(settled) >= _WORTH_SAVING:
            with suppress(StoreError):  # it can be done without
                store.write_json(f"{table}/{INDEX}", known)
        return {name: fetched[name] if name in fetched else known[name][1] for name in files}

    def forget(self, table: str, name: str) -> None:
        """Fetch a file anew next time, whatever a listing says."""
        self._tables.get(table, {}).pop(name, None)


def _load(store: "Store", table: str) -> dict[str, tuple[Version, Content]]:
    try:
        saved = store.read_json(f"{table}/{INDEX}")
        return {name: ((size, mtime_ns), content) for name, ((size, mtime_ns), content) in saved.items()}
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return {}
