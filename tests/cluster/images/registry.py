"""A registry on loopback: one that images are pushed to, and one on each node that serves them."""

from pathlib import Path
from typing import Any

import yaml


def command(storage: Path, address: str, *, readonly: bool) -> list[str]:
    """Serve what lies in a storage."""
    kept: dict[str, Any] = {
        "filesystem": {"rootdirectory": str(storage)},
        "maintenance": {"readonly": {"enabled": readonly}},
    }
    config = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": kept,
        "http": {"addr": address, "secret": "one process, on loopback"},
    }
    file = Path("/run/registry.yaml")
    file.write_text(yaml.safe_dump(config))
    return ["docker-registry", "serve", str(file)]
