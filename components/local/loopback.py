"""This machine's own address: who listens on a port, and what is answered there."""

import errno
import http.client
import json
import socket
from dataclasses import dataclass
from typing import Any

import psutil

from .process import NotReady

HOST = "127.0.0.1"
PATIENCE = 10
"""Seconds for one answer. A busy laptop imports a library before it gives its first one."""


@dataclass(frozen=True)
class Answer:
    """One HTTP answer."""

    status: int
    body: bytes

    def json(self) -> Any:
        """What the body says, as JSON."""
        return json.loads(self.body)


def ask(port: int, method: str, path: str, body: object = None) -> Answer:
    """Send one HTTP request; `NotReady` while nobody answers.

    By a client that knows no proxies: a company's would be asked for 127.0.0.1 too.
    """
    connection = http.client.HTTPConnection(HOST, port, timeout=PATIENCE)
    try:
        content = None if body is None else json.dumps(body)
        connection.request(method, path, content, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return Answer(response.status, response.read())
    except (OSError, http.client.HTTPException) as error:
        raise NotReady(f"{method} http://{HOST}:{port}{path}: {error}") from error
    finally:
        connection.close()


def is_free(port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as attempt:
        # As servers do it: connections that linger from the last run are in nobody's way.
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((HOST, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return False
    return True


def listener(port: int) -> psutil.Process | None:
    """The process that listens there; nothing if the system does not tell."""
    for process in psutil.process_iter():
        try:
            connections = process.net_connections("tcp")
        except psutil.Error:  # another user's
            continue
        if any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in connections):
            return process
    return None
