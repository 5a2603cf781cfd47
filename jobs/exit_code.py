"""How a job ends: what its user is told of an error, and what the shell gets."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from jobs.console import say, tell
from t2ipal.errors import UserError

WRONG = 2  # something that the user has to put right
STOPPED = 130  # by Ctrl-C, as shells have it
TERMINATED = 143  # by SIGTERM, which schedulers and containers send
GOES_ON = "stopped; the same command goes on from here"


def exit_code(job: Callable[[], None]) -> int:
    """Run a job; return 0, WRONG after telling what to put right, STOPPED or TERMINATED.

    A defect is raised.
    """
    try:
        with _ending_at_sigterm(), _stopping_once():
            job()
    except KeyboardInterrupt:
        say(GOES_ON)
        return STOPPED
    except SystemExit as error:
        if error.code != signal.SIGTERM:
            raise
        say(GOES_ON)
        return TERMINATED
    except Exception as error:
        if (wrong := user_error(error)) is None:
            raise
        tell(wrong)
        return WRONG
    return 0


@contextmanager
def _stopping_once() -> Iterator[None]:
    """Within, the first Ctrl-C raises KeyboardInterrupt, as ever, and says that it was heard; to end in order
    then takes some seconds, and no other one disturbs that.
    """
    heard = threading.current_thread() is threading.main_thread() and (
        signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if not heard:  # as of a job in the background, whom the shell spares it
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with suppress(RuntimeError):  # of a print that this has interrupted
            say("stopping")
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def _ending_at_sigterm() -> Iterator[None]:
    """Within, SIGTERM raises SystemExit in the main thread, as Ray has it once it is started."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def user_error(error: BaseException | None) -> UserError | None:
    """Return the UserError within an exception: Ray wraps what a worker raises, in several ways."""
    if error is None or type(error) is UserError:
        return error
    for inner in _inner(error):
        if (found := user_error(inner)) is not None:
            return found
    return error if isinstance(error, UserError) else None


def _inner(error: BaseException) -> list[BaseException]:
    """Return what Ray Core, Ray Train and Python themselves keep of the exceptions before this one."""
    kept = (getattr(error, "cause", None), getattr(error, "_base_exc", None), error.__cause__)
    failures = getattr(error, "worker_failures", {})  # of a training's workers, by rank
    return [each for each in (*kept, *failures.values()) if isinstance(each, BaseException)]
