"""The brain of the stand-in `gcloud`."""

import hashlib
import json
import uuid
from pathlib import Path

from .gcp import artifactregistry, iam, storage
from .grants import granted
from .program import Program
from .refusal import RefusedError
from .thing import Thing
from .wire import Inputs
from .world import BUILD, Visit, built

BUILD_SECONDS = 300  # upload, base image, pip and push; RAPIDS takes three times that


class Gcloud(Program):
    """Builds and lists images of the stand-in cloud."""

    variable = "STAND_IN_GCLOUD"

    def answer(self, command: list[str]) -> tuple[int, str, str]:
        words = [word for word in command if not word.startswith("--")]
        flags = dict(word[2:].split("=", 1) for word in command if "=" in word and word[:2] == "--")
        try:
            match words:
                case ["artifacts", "docker", "tags", "list", path]:
                    return 0, self._tags(path), ""
                case ["builds", "submit", context]:
                    return 0, "", self._build(Path(context), flags)
        except RefusedError as refusal:
            return 1, "", f"ERROR: (gcloud.{'.'.join(words[:2])}) {refusal}\n"
        return 2, "", f"ERROR: (gcloud) Invalid choice: {' '.join(command)}\n"

    def _tags(self, path: str) -> str:
        host, project, repository, image = path.split("/")
        Visit(self.world, "", {}).need_api(artifactregistry.API)
        location = host.removesuffix("-docker.pkg.dev")
        self._repository(f"projects/{project}/locations/{location}/repositories/{repository}")
        tags = self.world.images.get(f"{repository}/{project}/{image}")
        if tags is None:
            raise RefusedError("NOT_FOUND: Requested entity was not found.")
        parent = f"projects/{project}/locations/{location}/repositories/{repository}/packages"
        return json.dumps(
            [
                {"tag": f"{parent}/{image}/tags/{tag}", "version": f"{parent}/{image}/x/{digest}"}
                for tag, digest in tags.items()
            ]
        )

    def _build(self, context: Path, flags: dict[str, str]) -> str:
        config = json.loads(Path(flags["config"]).read_text())
        (image,) = config["images"]
        name, tag = image.rsplit(":", 1)
        digest = f"sha256:{hashlib.sha256(image.encode()).hexdigest()}"
        if not (context / "Dockerfile").exists():
            raise RefusedError("INVALID_ARGUMENT: Dockerfile required when specifying --tag")
        with self.journal.record("build", built(f"{name}@{digest}")) as entry:
            for fault in self.faults:
                if fault.strikes(BUILD):
                    raise RefusedError(fault.message)
            with self.world.lock:
                entry.needed |= self._may_build(name, config, flags).needed
            self.clock.spend(BUILD_SECONDS)
            self.world.images.setdefault(name, {})[tag] = digest
        return f"Created [https://cloudbuild.googleapis.com/v1/builds/{uuid.uuid4()}].\n"

    def _may_build(self, image: str, config: Inputs, flags: dict[str, str]) -> Visit:
        visit = Visit(self.world, "", {})
        visit.need_api("cloudbuild.googleapis.com")
        email = config["serviceAccount"].rsplit("/", 1)[-1]
        iam.need_account(visit, email)
        repository = self._repository(image.split("/")[0])
        bucket = flags["gcs-source-staging-dir"].removeprefix("gs://").split("/")[0]
        visit.note(repository, visit.need(storage.BUCKET, bucket))
        for token, role in (
            (artifactregistry.REPOSITORY_MEMBER, "roles/artifactregistry.writer"),
            (storage.BUCKET_MEMBER, "roles/storage.objectViewer"),
            (iam.PROJECT_MEMBER, "roles/logging.logWriter"),
        ):
            for missing in granted(visit, token, role, email):
                raise RefusedError(f"PERMISSION_DENIED: {missing}")
        return visit

    def _repository(self, reference: str) -> Thing:
        repository = self.world.find(artifactregistry.REPOSITORY, reference)
        if repository is None:
            raise RefusedError(f"NOT_FOUND: Repository {reference} was not found.")
        return repository
