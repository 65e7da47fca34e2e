"""The API server, through the official client for Python."""

import json
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import yaml
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import NotFoundError, ResourceNotFoundError
from urllib3.exceptions import HTTPError

from .manifest import Manifest, Reference, owned_by

SECONDS = 30
"""For one answer. A server that is stuck must not hold the engine."""


class RefusedByServerError(Exception):
    """The server's own words, and its reason for programs."""

    def __init__(self, error: ApiException) -> None:
        try:
            status = json.loads(error.body)
        except (TypeError, ValueError):
            status = {}
        super().__init__(status.get("message") or f"{error.status} {error.reason}")
        self.reason = status.get("reason", "")
        self.kind = (status.get("details") or {}).get("kind", "")

    @property
    def missing_namespace(self) -> bool:
        """Whether the object's namespace is not there yet."""
        return self.reason == "NotFound" and self.kind == "namespaces"


class UnreachableError(Exception):
    """Nobody answered, or nobody there knows such objects."""


class ApiServer:
    """One cluster, as one of its users."""

    def __init__(self, api: client.ApiClient) -> None:
        # The client keeps what types there are in a file that it names after the address alone.
        self._folder = tempfile.TemporaryDirectory()
        self._api = api
        self._dynamic = DynamicClient(api, cache_file=str(Path(self._folder.name) / "types.json"))
        self._lock = threading.Lock()

    @classmethod
    def reached_by(cls, kubeconfig: str, context: str | None = None) -> Self:
        """By a kubeconfig: the path of one, or the whole of one."""
        if "\n" in kubeconfig or kubeconfig.lstrip().startswith("{"):
            document = yaml.safe_load(kubeconfig)
            return cls(config.new_client_from_config_dict(document, context=context))
        return cls(config.new_client_from_config(kubeconfig or None, context=context))

    def close(self) -> None:
        """Let go of connections and files."""
        self._api.close()
        self._folder.cleanup()

    def namespaced(self, api_version: str, kind: str) -> bool:
        """Whether objects of a type lie in a namespace."""
        with _answered():
            return bool(self._resource(api_version, kind).namespaced)

    def apply(
        self, manifest: Manifest, manager: str, *, dry_run: bool = False, force: bool = False
    ) -> Manifest:
        """Have the object be as the manifest says; what that leaves open, others decide."""
        where = Reference.of(manifest)
        rehearsal = {"dry_run": "All"} if dry_run else {}
        with _answered():
            applied = self._resource(where.api_version, where.kind).server_side_apply(
                body=manifest,
                name=where.name,
                namespace=where.namespace,
                field_manager=manager,
                force_conflicts=force,
                _request_timeout=SECONDS,
                **rehearsal,
            )
        return dict(applied.to_dict())

    def read(self, where: Reference) -> Manifest | None:
        """The object as it is now, if it is."""
        with _answered():
            try:
                found = self._resource(where.api_version, where.kind).get(
                    name=where.name, namespace=where.namespace, _request_timeout=SECONDS
                )
            except (NotFoundError, ResourceNotFoundError):
                return None
        return dict(found.to_dict())

    def delete(self, where: Reference, propagation: str) -> None:
        """Ask for the object's end, and that of all that was made for it."""
        with _answered(), suppress(NotFoundError, ResourceNotFoundError):
            self._resource(where.api_version, where.kind).delete(
                name=where.name,
                namespace=where.namespace,
                body={"propagationPolicy": propagation},
                _request_timeout=SECONDS,
            )

    def made_for(self, owner: Manifest, api_version: str, kind: str) -> list[Manifest]:
        """Objects of a type that a controller made for another object."""
        there = self.listed(api_version, kind, owner["metadata"].get("namespace"))
        return [each for each in there if owned_by(each, owner)]

    def listed(
        self, api_version: str, kind: str, namespace: str | None, **options: str
    ) -> list[Manifest]:
        """All objects of a type in a namespace."""
        with _answered():
            found = self._resource(api_version, kind).get(
                namespace=namespace, _request_timeout=SECONDS, **options
            )
        return [dict(each) for each in found.to_dict()["items"]]

    def _resource(self, api_version: str, kind: str) -> Any:
        with self._lock:  # the client looks up what types there are on demand, in a plain dict
            return self._dynamic.resources.get(api_version=api_version, kind=kind)


@contextmanager
def _answered() -> Iterator[None]:
    try:
        yield
    except ApiException as error:
        raise RefusedByServerError(error) from error
    except ResourceNotFoundError as error:
        raise UnreachableError(str(error)) from error
    except HTTPError as error:
        raise UnreachableError(f"configured Kubernetes cluster is unreachable: {error}") from error
