"""The real Dockerfiles give images that run as a cluster wants it.

On the node of the stack, which has pulled both anyway.
"""

import pytest

from tests.cluster.images.docker import Docker
from tests.cluster.pods import pod, shell


@pytest.mark.parametrize(
    ("image", "account", "modules"),
    [
        ("tracking_image", 65532, "mlflow, psycopg2, server.migration"),
        ("training_image", 1000, "mlflow, sklearn, train"),
    ],
)
def test_an_image_runs_without_root_on_a_read_only_disk(
    request, docker, printed, image, account, modules
):
    reference = request.getfixturevalue(image)
    print(f"{image}: {docker.size(reference) / 2**20:.0f} MiB to pull")
    script = f"cd /mlflow/projects/code || true; python3 -c 'import {modules}'; id -u"
    container = shell(script, image=reference, volumeMounts=[{"name": "tmp", "mountPath": "/tmp"}])
    spec = pod(container, volumes=[{"name": "tmp", "emptyDir": {}}])
    spec["securityContext"] |= {"runAsUser": account}

    assert printed(spec).splitlines()[-1] == str(account)


def test_what_is_in_the_registry_is_not_built_again(docker, tracking_image, monkeypatch):
    def refuse(*_: str) -> str:
        raise AssertionError("nothing is to be built")

    monkeypatch.setattr(Docker, "run", refuse)

    assert docker.image("mlflow-tracking", "server") == tracking_image
