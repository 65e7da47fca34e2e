"""Decides once, before scikit-learn is imported, whether it runs on the GPU."""

import importlib.util
import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from importlib import metadata
from typing import Literal, get_args

from unusable import Unusable

Wanted = Literal["auto", "cpu", "gpu"]
RAPIDS = "cuml-cu12"


class DeviceError(Unusable):
    """The device that was asked for is not there; the message says what is missing."""


@dataclass(frozen=True)
class Device:
    """What the model runs on, as a run's tags tell it."""

    kind: Literal["cpu", "gpu"]
    name: str
    driver: str = "none"

    def __str__(self) -> str:
        return f"{self.kind.upper()}: {self.name}"

    def tags(self) -> dict[str, str]:
        """Describe the device, its driver and the libraries whose versions decide the result."""
        libraries = ["scikit-learn", "numpy", "pandas"] + [RAPIDS] * (self.kind == "gpu")
        return {
            "device": self.kind,
            "device.name": self.name,
            "device.driver": self.driver,
            **{f"version.{name}": metadata.version(name) for name in libraries},
        }


def choose(wanted: Wanted = "auto") -> Device:
    """Use the GPU where there is one and RAPIDS is installed, unless told otherwise.

    On a GPU the same scikit-learn code runs through cuml.accel, which has to be switched on
    before anything imports scikit-learn: call this first.
    """
    if wanted not in get_args(Wanted):
        raise DeviceError(f"device={wanted!r} is unknown; use {', '.join(get_args(Wanted))}")
    processor = Device(kind="cpu", name=f"{platform.machine()}, {cores()} cores")
    if wanted == "cpu":
        return processor
    card = _nvidia()
    rapids = importlib.util.find_spec("cuml") is not None
    if card and rapids:
        import cuml.accel

        cuml.accel.install()
        return card
    if wanted == "gpu":
        raise DeviceError(
            f"device=gpu: found {card.name}, but not RAPIDS: pip install -r requirements-gpu.txt"
            if card
            else "device=gpu: no NVIDIA driver answers here (nvidia-smi). "
            "Use device=auto, or run on a machine with a GPU"
        )
    if card:
        print(f"{card.name} stays idle: RAPIDS is missing (pip install -r requirements-gpu.txt)")
    return processor


def cores() -> int:
    """Count the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _nvidia() -> Device | None:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    query = [tool, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True, check=False, timeout=60)
    first = answer.stdout.strip().partition("\n")[0]
    if answer.returncode or not first:
        return None
    name, _, driver = first.partition(", ")
    return Device(kind="gpu", name=name, driver=driver)
