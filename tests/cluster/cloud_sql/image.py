"""The proxy's image, made of the program that was built: Google's own cannot be had everywhere."""

import shutil
import tempfile
from pathlib import Path

from tests.cluster.images.docker import Docker

from .proxy import MODULE

DOCKERFILE = """\
FROM scratch
COPY cloud-sql-proxy /cloud-sql-proxy
USER 65532
ENTRYPOINT ["/cloud-sql-proxy"]
"""
"""As far as a pod can tell, Google's own: the same place, the same user, nothing else in it."""


def push(docker: Docker, image: str) -> None:
    """Put it into the registry under the path and tag of an image, whose registry is another."""
    _, _, path = image.partition("/")
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(MODULE.program(), folder)
        (Path(folder) / "Dockerfile").write_text(DOCKERFILE)
        docker.run("build", f"--tag={docker.registry}/{path}", folder)
    docker.run("push", f"{docker.registry}/{path}")
