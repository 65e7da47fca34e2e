"""Google Cloud's resource types, one service per file."""

from ..kind import Kind
from . import artifactregistry, compute, container, iam, servicenetworking, services, sql, storage

SERVICES = (artifactregistry, compute, container, iam, servicenetworking, services, sql, storage)

KINDS: dict[str, Kind] = {kind.token: kind for service in SERVICES for kind in service.KINDS}
