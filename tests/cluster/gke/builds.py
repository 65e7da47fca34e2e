"""Cloud Build: Docker builds what is sent, and the registry that the nodes pull from has it."""

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
        """Build, unless somebody has built the very same, and return the digest."""
        (image,), (step,) = config["images"], config["steps"]
        name = image.partition(":")[0]
        if name.endswith(UNUSED):
            return super().build(context, config)
        told = [word for word in step["args"] if word.startswith("--build-arg=")]
        arguments = dict(word.split("=", 2)[1:] for word in told)
        path = name.partition("/")[2]
        built = self._docker.image(Path(path).name, str(context), **arguments)
        self._docker.alias(built, path)
        return built.partition("@")[2]
