"""What a training run computes on. The same run on another processor or GPU may differ in its last bits."""

from __future__ import annotations

import platform
from pathlib import Path

import tensorflow as tf

_WIDER_AND_WIDER = ("avx2", "avx512f", "amx_tile")  # instructions by which libraries choose how to multiply


def device(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The name of this process's GPU, else of its processor, with the widest instructions that it has.

    Args:
        cpuinfo: where Linux describes processors; elsewhere there is no such file, and Python's name is all that is known.
    """
    gpus = tf.config.get_visible_devices("GPU")
    if gpus:
        return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU"))
    if not cpuinfo.exists():
        return platform.processor() or platform.machine()
    pairs = (line.partition(":")[::2] for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines())
    known = {name.strip(): text.strip() for name, text in pairs}  # those of the last processor; they are alike
    widest = [name for name in _WIDER_AND_WIDER if name in known.get("flags", "").split()]
    return " ".join([known.get("model name", platform.machine()), *widest[-1:]])
