"""Where packed projects are kept: with their experiment's artifacts, named by their content."""

import tempfile
from pathlib import Path

from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from .bootstrap import ARCHIVE, PLACE
from .problem import Problem
from .project import Package


def put(package: Package, experiment: str, tracking_uri: str) -> bool:
    """See to it that the server has the package; whether it had to be uploaded.

    Below the experiment, so that whoever may log to that may, and who may not read it does not.
    """
    place = f"mlflow-artifacts:/{experiment}/{PLACE}/{package.digest}"
    try:
        repository = get_artifact_repository(place, tracking_uri=tracking_uri)
        kept = {file.path: file.file_size for file in repository.list_artifacts()}
        if kept.get(ARCHIVE) == len(package.content):
            return False
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, ARCHIVE)
            file.write_bytes(package.content)
            repository.log_artifact(str(file))
    except (MlflowException, OSError) as error:
        raise Problem(
            f"the server does not take the project: {error}. It has to relay artifacts "
            "(`artifacts.access: proxied`), and your login has to be allowed to write them"
        ) from error
    return True
