"""Google service accounts, and the access tokens that say who they are."""

import secrets
import threading
from dataclasses import dataclass

LIFETIME = 3600
"""Seconds for which Google's tokens hold."""

DOMAIN = ".gserviceaccount.com"


@dataclass(frozen=True)
class Token:
    """What stands behind the text of an access token."""

    email: str
    scopes: frozenset[str]


class Accounts:
    """Gives out tokens, and knows them again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens: dict[str, Token] = {}

    def issue(self, email: str, scopes: frozenset[str]) -> str:
        """Make a token of an account for some scopes."""
        text = f"ya29.{secrets.token_urlsafe(48)}"
        with self._lock:
            self._tokens[text] = Token(email, scopes)
        return text

    def known(self, text: str) -> Token | None:
        """Say whose token it is, if it is anybody's."""
        with self._lock:
            return self._tokens.get(text)


def role(email: str) -> str:
    """The account's name in Postgres, as Cloud SQL shortens it."""
    return email.removesuffix(DOMAIN)
