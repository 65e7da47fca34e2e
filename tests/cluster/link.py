"""The wire between this machine and an enclosure that has a network of its own."""

import ipaddress
import json
import secrets
import subprocess
from dataclasses import dataclass
from typing import Any

POOL = ipaddress.ip_network("198.18.0.0/15")
"""Set aside for tests of networks (RFC 2544), so nothing that anybody wants to reach is there."""

INSIDE = "eth0"


@dataclass(frozen=True)
class Link:
    """Two interfaces and a network of two addresses. Without its far end the near one is gone."""

    name: str
    """Of the interface on this side."""
    host: str
    """This machine's address, for what runs inside."""
    node: str
    """The address of the inside, for this machine."""

    @classmethod
    def choose(cls, name: str) -> "Link":
        """A link with addresses that no interface or route of this machine has a part in."""
        taken = _taken()
        while True:
            network = ipaddress.ip_network((secrets.randbelow(2**15) * 4 + int(POOL[0]), 30))
            if not any(network.overlaps(other) for other in taken):
                return cls(name, str(network[1]), str(network[2]))

    def create(self, pid: int) -> None:
        """Make it, with the far end in the network that a process is in."""
        far = ["peer", "name", INSIDE, "netns", str(pid)]
        _ip("link", "add", self.name, "type", "veth", *far)
        _ip("address", "add", f"{self.host}/30", "dev", self.name)
        _ip("link", "set", self.name, "up")

    def complete(self) -> None:
        """Set up the far end; to be called inside."""
        _ip("link", "set", "lo", "up")
        _ip("address", "add", f"{self.node}/30", "dev", INSIDE)
        _ip("link", "set", INSIDE, "up")
        _ip("route", "add", "default", "via", self.host)

    def remove(self) -> None:
        """Remove it if it is still there."""
        remove(self.name)


def remove(name: str) -> None:
    """Remove an interface if it is there."""
    subprocess.run(["ip", "link", "delete", name], capture_output=True, check=False)


def _taken() -> list[ipaddress.IPv4Network]:
    """Every network that this machine knows a way to, less the way to everywhere."""
    routes = [route["dst"] for route in _json("-4", "route", "show", "table", "all")]
    known = [ipaddress.IPv4Network(r) for r in routes if r[0].isdigit()]
    return [network for network in known if network.prefixlen > 0]


def _json(*arguments: str) -> Any:
    return json.loads(_ip("-json", *arguments) or "[]")


def _ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], stdout=subprocess.PIPE, text=True, check=True).stdout
