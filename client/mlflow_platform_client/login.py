"""The login to the tracking server: whether it wants one, and takes the one that is set here."""

import urllib.error
import urllib.request
from urllib.parse import unquote, urlsplit

from .problem import Problem

USER, PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"

ANSWER_SECONDS = 20

CURE = (
    f"Type: export {USER}=YOU; read -rs {PASSWORD}; export {PASSWORD}; "
    "or write both to ~/.mlflow/credentials"
)


def accepted(
    tracking_uri: str, user: str | None = None, password: str | None = None
) -> dict[str, str]:
    """The login that the server takes, as variables of a program; nothing where it wants none.

    It is the one given, or else the one that MLflow sends from here.
    """
    parts = urlsplit(tracking_uri)
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
    if not _closed(bare):
        return {}
    # It takes seconds to import, and most servers are open.
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import MlflowHostCreds, http_request

    sent = get_default_host_creds(bare)
    if parts.username:
        user, password = unquote(parts.username), unquote(parts.password or "")
    if user and password:
        sent = MlflowHostCreds(bare, username=user, password=password)
    if sent.username and not sent.password:
        raise Problem(f"{bare} wants a login, and {sent.username} has no password here. {CURE}")
    if http_request(sent, "/version", "GET", timeout=ANSWER_SECONDS).status_code == 401:
        raise Problem(
            f"{bare} refuses {sent.username} with the password that is set here. {CURE}. "
            "Who has forgotten theirs asks an administrator of the server for a new one"
            if sent.username
            else f"{bare} wants a login, and none is set here. {CURE}"
        )
    # Else it is a token, which MLflow has from elsewhere.
    return {USER: sent.username, PASSWORD: sent.password} if sent.username else {}


def _closed(uri: str) -> bool:
    """Whether the server turns away who does not say who they are."""
    try:
        with urllib.request.urlopen(f"{uri}/version", timeout=ANSWER_SECONDS):  # noqa: S310
            return False
    except urllib.error.HTTPError as refusal:
        return refusal.code == 401
    except (OSError, ValueError):
        return False  # who does not answer now says so to whoever asks for more
