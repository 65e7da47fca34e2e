"""The door of the instance: port 3307, TLS both ways, and one look at who wants to log in."""

import asyncio
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from .accounts import role

PORT = 3307
"""The proxy knows no other."""

CHUNK = 1 << 16
ENCRYPTION = {80877103, 80877104}
"""Requests for a second encryption, by TLS or GSSAPI, inside the tunnel."""
CANCEL = 80877102
IAM = ".iam"
"""What the names of service accounts end with in Postgres; no other role's may."""


class Front:
    """Passes connections on to Postgres; one that may not be, it ends as Cloud SQL does.

    Postgres itself lets service accounts in without a password: that they are who they say is
    decided here, by the certificate of the connection.
    """

    def __init__(self, address: str, tls: ssl.SSLContext, socket: Path) -> None:
        self._address, self._tls, self._socket = address, tls, socket
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[Any]] = set()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        try:
            self._wait(self._listen())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: Any) -> None:
        self._wait(self._hang_up())
        self._end()

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        """End every connection and take no new one, for as long as the `with` lasts."""
        self._wait(self._hang_up())
        try:
            yield
        finally:
            self._wait(self._listen())

    def _wait(self, what: Any) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(timeout=30)

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, self._address, PORT, ssl=self._tls)

    async def _hang_up(self) -> None:
        if self._server:
            self._server.close()
        for task in self._open:
            task.cancel()
        if self._open:
            await asyncio.wait(self._open)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._open.add(task)
        try:
            await self._connect(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # either side went away, or the door is shut
        finally:
            self._open.discard(task)
            with suppress(Exception):
                writer.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await _greeting(reader, writer)
        user = _user(first)
        if user is not None and user.endswith(IAM) and user != _certified(writer):
            writer.write(_denied(user))
            await writer.drain()
            return
        back_reader, back_writer = await asyncio.open_unix_connection(str(self._socket))
        try:
            back_writer.write(first)
            both = [
                asyncio.ensure_future(_pass_on(reader, back_writer)),
                asyncio.ensure_future(_pass_on(back_reader, writer)),
            ]
            try:
                # Either side's end is the end: neither Postgres nor its clients close by halves.
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in both:
                    way.cancel()
                await asyncio.gather(*both, return_exceptions=True)
        finally:
            back_writer.close()


async def _greeting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    while True:
        length = await reader.readexactly(4)
        rest = await reader.readexactly(struct.unpack("!I", length)[0] - 4)
        if struct.unpack("!I", rest[:4])[0] not in ENCRYPTION:
            return length + rest
        writer.write(b"N")
        await writer.drain()


def _user(greeting: bytes) -> str | None:
    """The name to log in as; somebody who only cancels a query gives none."""
    if struct.unpack("!I", greeting[4:8])[0] == CANCEL:
        return None
    texts = greeting[8:].split(b"\0")
    return dict(zip(texts[::2], texts[1::2], strict=False)).get(b"user", b"").decode()


def _certified(writer: asyncio.StreamWriter) -> str | None:
    names = (writer.get_extra_info("peercert") or {}).get("subjectAltName", ())
    return next((role(value) for kind, value in names if kind == "email"), None)


def _denied(user: str) -> bytes:
    message = f'Cloud SQL IAM service account authentication failed for user "{user}"'
    fields = b"".join(
        field.encode() + b"\0" for field in ("SFATAL", "VFATAL", "C28000", f"M{message}", "")
    )
    return b"E" + struct.pack("!I", len(fields) + 4) + fields


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()
