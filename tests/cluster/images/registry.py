"""A registry on loopback: one that images are pushed to, and one on each node that serves them."""

import json
import urllib.request
from pathlib import Path
from typing import Any

import yaml

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
"""What podman pushes."""


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


def alias(address: str, image: str, name: str) -> None:
    """Serve an image under another name as well; nothing is sent but its manifest.

    https://distribution.github.io/distribution/spec/api/#cross-repository-blob-mount
    """
    known, _, digest = image.partition("@")

    def ask(method: str, path: str, body: bytes | None = None, **headers: str) -> Any:
        url = f"http://{address}/v2/{path}"
        request = urllib.request.Request(url, body, headers, method=method)  # noqa: S310
        return urllib.request.urlopen(request)  # noqa: S310

    with ask("GET", f"{known}/manifests/{digest}", Accept=MANIFEST) as answer:
        manifest = answer.read()
    content = json.loads(manifest)
    for blob in (content["config"], *content["layers"]):
        ask("POST", f"{name}/blobs/uploads/?mount={blob['digest']}&from={known}", b"").close()
    told = {"Content-Type": MANIFEST}
    ask("PUT", f"{name}/manifests/{digest}", manifest, **told).close()
