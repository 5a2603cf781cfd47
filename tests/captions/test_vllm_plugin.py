import os
import signal
import subprocess
import sys
from importlib.metadata import entry_points

import psutil

from t2ipal.captions.vllm_plugin import end_with_parent

ENGINE_AND_PARENT = """
import multiprocessing, time
from t2ipal.captions.vllm_plugin import end_with_parent

def engine():
    end_with_parent()
    print("ready", flush=True)
    time.sleep(600)

if __name__ == "__main__":
    child = multiprocessing.get_context("spawn").Process(target=engine)
    child.start()
    print(child.pid, flush=True)
    child.join()
"""


def test_vllm_finds_it():
    (plugin,) = (
        each for each in entry_points(group="vllm.general_plugins") if each.module.startswith("t2ipal")
    )
    assert plugin.load() is end_with_parent


def test_an_engine_ends_with_the_process_that_started_it(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(ENGINE_AND_PARENT)
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    engine = psutil.Process(int(parent.stdout.readline()))
    assert parent.stdout.readline() == "ready\n"
    assert engine.is_running()
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    gone, _ = psutil.wait_procs([engine], timeout=20)
    assert gone


def test_the_outermost_process_is_left_alone():
    end_with_parent()
    code = "from t2ipal.captions.vllm_plugin import end_with_parent; end_with_parent(); print('alive')"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "alive\n"
