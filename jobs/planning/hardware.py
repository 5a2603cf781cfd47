"""The machines that a stage runs on, as far as its speed and its price depend on them."""

import urllib.request
from pathlib import Path
from typing import Any

from jobs.machine import machine
from t2ipal.section import Section, Several

DMI = Path("/sys/devices/virtual/dmi/id")  # what the firmware says of the machine
GOOGLE = "http://metadata.google.internal"  # answers on Google's machines alone


class Hardware(Section):
    """A machine. `type` is the cloud's name for it, such as m5.2xlarge."""

    type: str | None = None
    cpu: str | None = None
    cores: int | None = None
    memory_gib: float | None = None
    gpus: Several[str] = ()
    system: str | None = None

    def is_like(self, other: "Hardware", on_gpu: bool) -> bool:
        """Say whether a rate measured on one holds on the other: of work on a GPU where that is the same,
        else of the same type, or of the same CPU and as many cores of it.
        """
        if on_gpu:
            return bool(self.gpus) and self.gpus[:1] == other.gpus[:1]
        if self.type is not None or other.type is not None:
            return self.type == other.type
        return (self.cpu, self.cores) == (other.cpu, other.cores)

    def __str__(self) -> str:
        gpu = f"{len(self.gpus)} x {self.gpus[0]}" if self.gpus else None
        size = f"{self.cpu}, {self.cores} cores" if self.cpu else None
        return ", ".join(part for part in (self.type, gpu or size) if part) or "an unknown machine"


def this_machine() -> Hardware:
    """Return the one that this process runs on."""
    return Hardware.model_validate(described())


def described() -> dict[str, Any]:
    """Return the same as plain data; called on other machines too."""
    return {"type": cloud_type(), **machine()}


def cloud_type(dmi: Path = DMI, google: str = GOOGLE) -> str | None:
    """Return the cloud's name for this kind of machine; None where it is no cloud's, or does not tell."""
    vendor, product = (_line(dmi / name) for name in ("sys_vendor", "product_name"))
    if vendor == "Amazon EC2":
        return product or None
    return _google_type(google) if vendor == "Google" else None


def _line(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""


def _google_type(google: str) -> str | None:
    path = f"{google}/computeMetadata/v1/instance/machine-type"
    request = urllib.request.Request(path, headers={"Metadata-Flavor": "Google"})
    try:
        with urllib.request.urlopen(request, timeout=2) as answer:
            return str(answer.read().decode()).rpartition("/")[2] or None
    except OSError:
        return None
