"""One Cloud SQL instance, from the API that describes it to the rows in its database."""

import ssl
from collections.abc import Collection
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

from .accounts import Accounts
from .admin_api import AdminApi
from .certificates import SERVER, Authority, key_pem, new_key, pem
from .front import Front
from .metadata import MetadataServer
from .postgres import Postgres


class CloudSql:
    """Listens on one address of this machine for as long as the `with` lasts.

    On it lie the SQL Admin API (`api.url`), the door that the proxy connects to (port 3307) and a
    metadata server for each Google account (`metadata`).
    """

    def __init__(
        self,
        connection_name: str,
        folder: Path,
        clients: Collection[str],
        address: str = "127.0.0.1",
    ) -> None:
        self.connection_name, self.address = connection_name, address
        self._project, _, self._name = connection_name.rsplit(":", 2)
        self._folder, self._clients = folder, clients
        self._accounts = Accounts()
        self._metadata: dict[str, MetadataServer] = {}

    def __enter__(self) -> Self:
        servers, ephemeral = Authority("Server CA"), Authority("Ephemeral CA")
        with ExitStack() as stack:
            self.postgres = stack.enter_context(Postgres(self._folder / "data"))
            tls = self._tls(servers, ephemeral)
            self.front = stack.enter_context(Front(self.address, tls, self.postgres.socket))
            self.api = stack.enter_context(
                AdminApi(
                    self.address,
                    self.connection_name,
                    self._accounts,
                    self._clients,
                    servers,
                    ephemeral,
                )
            )
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: Any) -> None:
        self._stack.close()

    def metadata(self, email: str) -> str:
        """Where a pod learns that it is this account: the value of `GCE_METADATA_HOST`."""
        if email not in self._metadata:
            server = MetadataServer(self.address, email, self._project, self._accounts)
            self._metadata[email] = self._stack.enter_context(server)
        return self._metadata[email].address

    def _tls(self, servers: Authority, ephemeral: Authority) -> ssl.SSLContext:
        key = new_key()
        # The name by which the proxy knows the instance again: it has no host name.
        name = f"{self._project}:{self._name}"
        certificate = servers.sign(key.public_key(), name, SERVER, timedelta(days=1))
        file = self._folder / "server.pem"
        file.touch(mode=0o600)
        file.write_text(key_pem(key) + pem(certificate))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(file)
        context.load_verify_locations(cadata=pem(ephemeral.certificate))
        return context
