"""The two questions that the proxy asks the SQL Admin API about an instance."""

from collections.abc import Collection
from datetime import timedelta
from typing import Any

from cryptography.hazmat.primitives import serialization

from .accounts import LIFETIME, Accounts, Token
from .certificates import CLIENT, Authority, pem
from .json_server import Answer, JsonServer, Request

ADMIN = frozenset(
    {
        "https://www.googleapis.com/auth/cloud-platform",
        "https://www.googleapis.com/auth/sqlservice.admin",
    }
)
LOGIN = ADMIN | {"https://www.googleapis.com/auth/sqlservice.login"}


class AdminApi(JsonServer):
    """Knows one instance, who may connect to it (`roles/cloudsql.client`) and how to reach it."""

    def __init__(
        self,
        address: str,
        connection_name: str,
        accounts: Accounts,
        clients: Collection[str],
        servers: Authority,
        ephemeral: Authority,
    ) -> None:
        super().__init__(address, self._answer)
        self._ip = address
        project, self._region, name = connection_name.rsplit(":", 2)
        self._project, self._name = project, name
        self._path = f"/sql/v1beta4/projects/{project}/instances/{name}"
        self._accounts, self._clients = accounts, clients
        self._servers, self._ephemeral = servers, ephemeral

    @property
    def url(self) -> str:
        """For `--sqladmin-api-endpoint`."""
        return f"http://{self.address}/"

    def _answer(self, request: Request) -> Answer:
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        caller = self._accounts.known(bearer)
        if caller is None:
            return _refusal(401, "Request had invalid authentication credentials.")
        if not caller.scopes & ADMIN:
            return _refusal(403, "Request had insufficient authentication scopes.")
        if caller.email not in self._clients or not request.path.startswith(self._path):
            # Google does not tell a stranger which instances there are.
            return _refusal(
                403,
                f"boss::NOT_AUTHORIZED: Not authorized to access resource. Possibly missing"
                f" permission cloudsql.instances.connect on resource instances/{self._name}.",
            )
        asked = (request.method, request.path.removeprefix(self._path))
        if asked == ("GET", "/connectSettings"):
            return Answer(self._settings())
        if asked == ("POST", ":generateEphemeralCert"):
            return self._certificate(caller, request.body)
        return _refusal(404, f"{request.method} {request.path} is nothing that the proxy asks.")

    def _settings(self) -> dict[str, Any]:
        return {
            "kind": "sql#connectSettings",
            "backendType": "SECOND_GEN",
            "databaseVersion": "POSTGRES_17",
            "region": self._region,
            "ipAddresses": [{"type": "PRIVATE", "ipAddress": self._ip}],
            "serverCaCert": {"kind": "sql#sslCert", "cert": pem(self._servers.certificate)},
        }

    def _certificate(self, caller: Token, body: dict[str, str]) -> Answer:
        email = None
        if text := body.get("access_token"):
            login = self._accounts.known(text)
            if login is None or not login.scopes & LOGIN or login.email != caller.email:
                return _refusal(400, "The access token is not one for a login of the caller.")
            email = login.email
        # The proxy's label says PKCS #1, but the key under it is of the general kind.
        key = body["public_key"].replace("RSA PUBLIC KEY", "PUBLIC KEY").encode()
        certificate = self._ephemeral.sign(
            serialization.load_pem_public_key(key),
            f"{self._project}:{self._name}",
            CLIENT,
            timedelta(seconds=LIFETIME),
            email,
        )
        return Answer({"ephemeralCert": {"kind": "sql#sslCert", "cert": pem(certificate)}})


def _refusal(status: int, message: str) -> Answer:
    return Answer({"error": {"code": status, "message": message}}, status)
