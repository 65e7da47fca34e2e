"""Files that tell a client where the API server is, and who the client is."""

from base64 import b64encode
from pathlib import Path

import yaml

from tests.cluster.node.certificates import Authority, Pair


def write(file: Path, server: str, authority: Authority, client: Pair) -> Path:
    """Write one that holds all it needs, so that it can be copied."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "mlflow-platform-test",
        "contexts": [
            {"name": "mlflow-platform-test", "context": {"cluster": "node", "user": "client"}}
        ],
        "clusters": [
            {
                "name": "node",
                "cluster": {
                    "server": server,
                    "certificate-authority-data": _encoded(authority.certificate),
                },
            }
        ],
        "users": [
            {
                "name": "client",
                "user": {
                    "client-certificate-data": _encoded(client.certificate),
                    "client-key-data": _encoded(client.key),
                },
            }
        ],
    }
    fresh = file.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_text(yaml.safe_dump(config))
    return fresh.replace(file)


def _encoded(file: Path) -> str:
    return b64encode(file.read_bytes()).decode()
