"""Which code is running: the package's version and a hash of its sources, the same from a checkout and from a zip."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import metadata, resources
from importlib.resources.abc import Traversable

_DECIDING = ("pyspark", "delta-spark", "pyarrow", "petastorm", "tensorflow", "keras", "numpy", "onnxruntime")


def _sources(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name != "__pycache__":
            found += _sources(entry, f"{prefix}/{entry.name}")
        elif entry.name.endswith(".py"):
            found.append((f"{prefix}/{entry.name}", entry.read_bytes()))
    return found


@cache
def code_version() -> str:
    """Such as 0.1.0+3f0a91c2: it changes with any source file of the three packages."""
    sources = [s for package in ("features", "jobs", "models") for s in _sources(resources.files(package), package)]
    hashed = hashlib.sha256(b"".join(name.encode() + content for name, content in sorted(sources))).hexdigest()[:8]
    try:
        return f"{metadata.version('lakeformer')}+{hashed}"
    except metadata.PackageNotFoundError:  # run from --py-files, which carries no metadata
        return f"0+{hashed}"


def package_versions() -> dict[str, str]:
    """Versions of the packages that decide a result."""
    return {name: metadata.version(name) for name in _DECIDING}
