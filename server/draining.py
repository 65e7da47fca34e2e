"""How a pod's server ends its connections: no request on one of them is lost.

Clients keep a connection and send one request after the other on it, also while their pod leaves
the Service. Uvicorn closes every connection that has no request just then. Who has sent the next
one in that moment is told that the connection was reset, and cannot know if the server read it.
Here the client is told first, by `connection: close` in the answer to one more request, and closes
it itself. Who has nothing to send is let go after a while.
"""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LAST_REQUEST_SECONDS = 5.0
"""For a client that is between two requests when its server is told to stop."""


class Draining(HttpToolsProtocol):
    """One connection."""

    stopping = False

    def shutdown(self) -> None:
        """Answer what is under way, or what comes next, and then close."""
        self.stopping = True
        if self.cycle is not None and not self.cycle.response_complete:
            if not self.cycle.response_started:
                self.cycle.keep_alive = False
            return
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(
            LAST_REQUEST_SECONDS, self.timeout_keep_alive_handler
        )

    def on_headers_complete(self) -> None:
        """A request, and the last one if the server stops."""
        super().on_headers_complete()
        if self.stopping and self.cycle is not None:
            self.cycle.keep_alive = False
