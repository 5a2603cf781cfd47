"""One job at a time on a run's folder: a small file says who works there, and is renewed while they do.

A guard against a second start by mistake, not a lock: two jobs that start within the same instant may both
pass it. On its own machine a job holds the folder for as long as its process lives, even one that stands
still; elsewhere it is taken over when it has given no sign for a while, and ends itself when it notices.
"""

import os
import signal
import socket
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from t2ipal.errors import StoreError, UserError
from t2ipal.store import Store

LEASE_FILE = "lease.json"
BEAT_S = 15.0
STALE_S = 60.0  # without a sign of life, of a process that cannot be looked for


@dataclass(frozen=True)
class Holder:
    """A job: where its process is, and which one of all that have had its number."""

    host: str
    machine: str  # differs between containers that share a host's name
    pid: int
    started: str  # in the kernel's ticks; empty where the system does not tell
    token: str


class Lease:
    """Held as a context; entering raises UserError while another job holds the folder.

    When another job takes it over meanwhile, the main thread is interrupted, as by Ctrl-C, and leaving raises
    UserError. A process that ignores Ctrl-C is ended by SIGTERM.
    """

    def __init__(self, store: Store) -> None:
        self._store = store.apart()  # a sign of life is no reason for the job to list its folders anew
        self._holder = Holder(
            socket.gethostname(), _machine(), os.getpid(), _started(os.getpid()), uuid.uuid4().hex
        )
        self._ended = threading.Event()
        self._successor: Holder | None = None
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)

    def __enter__(self) -> Self:
        if (holder := at_work(self._store)) is not None:
            raise UserError(
                f"another job works in {self._store.uri!r}: process {holder.pid} on {holder.host}",
                "wait until it has ended, or give another run folder",
            )
        self._write()
        self.check()
        self._thread.start()
        return self

    def check(self) -> None:
        """Raise UserError when another job has taken the folder over, as it does when this one had stood
        still.
        """
        if (other := self._other()) is not None:
            raise self._taken_over(other)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        if self._successor is not None:
            raise self._taken_over(self._successor) from error
        with suppress(StoreError):  # what stays behind is stale, and must not hide why the job has ended
            if (found := _read(self._store)) is not None and found[0].token == self._holder.token:
                self._store.delete(LEASE_FILE)

    def _other(self) -> Holder | None:
        """Return the job that holds the folder in place of this one."""
        found = _read(self._store)
        return None if found is None or found[0].token == self._holder.token else found[0]

    def _taken_over(self, other: Holder) -> UserError:
        return UserError(
            f"another job has begun to work in {self._store.uri!r}: process {other.pid} on {other.host}",
            "let one of them go on; the same command completes what is left",
        )

    def _write(self) -> None:
        self._store.write_json(LEASE_FILE, {**asdict(self._holder), "beat": time.time()})

    def _renew(self) -> None:
        while not self._ended.wait(BEAT_S):
            try:
                if (other := self._other()) is not None:
                    self._successor = other
                    os.kill(os.getpid(), _stopping())  # which wakes a main thread that waits, too
                    return
                self._write()
            except StoreError:  # one that does not answer may do so at the next beat
                continue


def _stopping() -> signal.Signals:
    """Return what stops this process: a job in the background of a script takes no notice of Ctrl-C."""
    ignored = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    return signal.SIGTERM if ignored else signal.SIGINT


def at_work(store: Store) -> Holder | None:
    """Return the job that works in a run's folder, if there is one."""
    found = _read(store)
    return found[0] if found is not None and _alive(*found, store) else None


def _read(store: Store) -> tuple[Holder, float] | None:
    """Return who holds the folder and when they last said so; None for nobody."""
    try:
        content = store.read_json(LEASE_FILE)
        return Holder(**{key: value for key, value in content.items() if key != "beat"}), content["beat"]
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _alive(holder: Holder, beat: float, store: Store) -> bool:
    if holder.machine == _machine() and holder.started:
        return _started(holder.pid) == holder.started
    if abs(time.time() - beat) < STALE_S:
        return True
    # Clocks of two machines may differ by more: whoever is alive renews the lease meanwhile.
    time.sleep(2 * BEAT_S)
    again = _read(store)
    return again is not None and again[1] != beat


def _machine() -> str:
    """Return what identifies this machine since its start, and the space of its process numbers."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def _started(pid: int) -> str:
    """Return when a process of this machine started; empty when there is none, or it waits to be buried."""
    try:
        # The second field is the name, in parentheses, and may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
