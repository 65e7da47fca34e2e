"""The metadata server that a pod asks which Google account it is."""

from .accounts import LIFETIME, Accounts
from .json_server import Answer, JsonServer, Request

ROOT = "/computeMetadata/v1/"
ALL_OF_GOOGLE = "https://www.googleapis.com/auth/cloud-platform"


class MetadataServer(JsonServer):
    """Speaks for one account: on GKE the real one tells pods apart by their addresses.

    Google's libraries for Go and Python ask here when `GCE_METADATA_HOST` names its address.
    """

    def __init__(self, address: str, email: str, project: str, accounts: Accounts) -> None:
        super().__init__(address, self._answer)
        self.email, self._project, self._accounts = email, project, accounts

    def _answer(self, request: Request) -> Answer:
        if request.path == "/":  # whether anybody is there
            return Answer("computeMetadata/")
        if request.headers.get("metadata-flavor") != "Google":
            return Answer("Missing Metadata-Flavor:Google header.", 403)
        what = request.path.removeprefix(ROOT).rstrip("/")
        account = "instance/service-accounts"
        whole = {"aliases": ["default"], "email": self.email, "scopes": [ALL_OF_GOOGLE]}
        if what in {f"{account}/default/token", f"{account}/{self.email}/token"}:
            return Answer(self._token(request))
        known: dict[str, object] = {
            "project/project-id": self._project,
            "universe/universe-domain": "googleapis.com",
            account: {"default": whole, self.email: whole},
            f"{account}/default": whole,
            f"{account}/{self.email}": whole,
            f"{account}/default/email": self.email,
        }
        return Answer(known[what]) if what in known else Answer("Not Found", 404)

    def _token(self, request: Request) -> dict[str, object]:
        scopes = frozenset(",".join(request.query.get("scopes", [ALL_OF_GOOGLE])).split(","))
        token = self._accounts.issue(self.email, scopes)
        return {"access_token": token, "expires_in": LIFETIME, "token_type": "Bearer"}
