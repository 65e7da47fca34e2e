"""Cloud Build: Docker builds what is sent, and pushes to the registry that the nodes pull from."""

from pathlib import Path

from tests.cluster.images.docker import Docker
from tests.engine.cloud import StandInCloud
from tests.engine.cloud.gcloud import Gcloud
from tests.engine.cloud.wire import Inputs

UNUSED = "mlflow-training"
"""No pod of these tests runs it, and with RAPIDS in it it is several gigabytes: not built."""


class DockerBuilds(Gcloud):
    """Builds what pods run."""

    def __init__(self, docker: Docker, cloud: StandInCloud) -> None:
        super().__init__(cloud.world, cloud.clock, cloud.journal, cloud.faults)
        self._docker = docker

    def build(self, context: Path, config: Inputs) -> str:
        """Build, unless an earlier run of the tests did, and return the digest."""
        (image,), (step,) = config["images"], config["steps"]
        if image.partition(":")[0].endswith(UNUSED):
            return super().build(context, config)
        _, _, path = image.partition("/")
        name = f"{self._docker.registry}/{path}{self._suffix()}"
        if self._docker.digest(name) is None:
            self._docker.run(*self._arguments(step["args"], name), str(context))
            self._docker.run("push", name)
        return str(self._docker.digest(name))

    def _arguments(self, told: list[str], name: str) -> list[str]:
        (command,), (_,) = told[:1], [word for word in told if word.startswith("--tag=")]
        arguments = [word for word in told if word.startswith("--build-arg=")]
        base = [f"--build-arg=BASE={self._docker.base}"] if self._docker.base else []
        return [command, f"--tag={name}", *arguments, *base]

    def _suffix(self) -> str:
        """The tag stands for the content; here the base image, which is another, is part of it."""
        return f"-{self._docker.base.rpartition('-')[2]}" if self._docker.base else ""
