"""Flask's sessions, which only the page that makes a user has a use for.

Flask makes anew for each request what it signs them with, also where there is nothing to sign.
"""

from flask import Flask, Request, Response
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin


class Sessions(SecureCookieSessionInterface):
    """As Flask's, without the work for a session that is not there."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """What a cookie says; without any, an empty session."""
        if request.environ.get("HTTP_COOKIE"):
            return super().open_session(app, request)
        return self.session_class()

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Send the cookie, where somebody had to do with it."""
        if session or session.accessed or session.modified:
            super().save_session(app, session, response)
