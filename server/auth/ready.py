"""Whether a server that asks everybody else for a password can do its work: `/ready`.

It says yes or no, to whoever asks. However many ask at once, the database is asked once.
"""

import asyncio
from typing import Any

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import Response
from starlette.routing import Route

from ..routes import note

PATH = "/ready"

QUERY = text("SELECT 1 FROM experiments, users LIMIT 1")
"""With the server's own rights, on what every request with a login needs."""


class Ready:
    """An ASGI app before another one, with its routes and one more."""

    def __init__(self, app: Any, engine: Engine) -> None:
        self._app, self._engine = app, engine
        self._asking: asyncio.Future[bool] | None = None
        self.routes = [Route(PATH, self), *app.routes]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer, or hand on what is not for here."""
        if scope["type"] != "http" or scope["path"] != PATH:
            await self._app(scope, receive, send)
            return
        note(PATH)
        if self._asking is None or self._asking.done():
            self._asking = asyncio.ensure_future(asyncio.to_thread(self._answers))
        status = 200 if await asyncio.shield(self._asking) else 503
        await Response(status_code=status)(scope, receive, send)

    def _answers(self) -> bool:
        try:
            with self._engine.connect() as database:
                database.execute(QUERY)
        except SQLAlchemyError:
            return False
        return True
