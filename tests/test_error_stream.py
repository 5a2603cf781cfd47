"""What goes to a log instead of the terminal."""

import subprocess
import sys

WRITING = """
import os, sys
from jobs.error_stream import error_stream_into
print("seen", file=sys.stderr)
with error_stream_into(sys.argv[1]):
    print("from Python", file=sys.stderr)
    os.write(2, b"from C++\\n")
    print("said")
print("seen again", file=sys.stderr)
"""


def test_python_and_what_lies_below_write_into_the_file(tmp_path):
    log = tmp_path / "log"
    log.write_text("before\n")
    done = subprocess.run([sys.executable, "-c", WRITING, str(log)], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "said\n", "seen\nseen again\n")
    assert log.read_text().splitlines() == ["before", "from Python", "from C++"]
