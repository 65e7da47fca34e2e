"""What a stack says of the users of its server."""

from server.spec import Auth, LoginSettings
from settings import Refused


def refuse(auth: Auth, login: LoginSettings | None) -> None:
    """Nobody believes in rights that nothing enforces."""
    if auth == "none" and login is not None:
        raise Refused(
            "login",
            "says what users may do, and without access.auth: basic there are none",
            given=None,
            allowed="nothing with access.auth: none",
            cure="set access.auth to basic, or leave it out",
        )
