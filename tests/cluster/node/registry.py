"""Serves the node the images that this machine's registry was given."""

from pathlib import Path

import yaml

from tests.cluster.node.layout import REGISTRY


def command(storage: Path) -> list[str]:
    """Read what lies in the storage; whoever pushes does that elsewhere."""
    config = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(storage)},
            "maintenance": {"readonly": {"enabled": True}},
        },
        "http": {"addr": REGISTRY, "secret": "one process, no uploads"},
    }
    file = Path("/run/registry.yaml")
    file.write_text(yaml.safe_dump(config))
    return ["docker-registry", "serve", str(file)]
