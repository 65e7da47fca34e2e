"""What programs can leave on a machine, to be compared before and after."""

import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.cluster import control_groups
from tests.cluster.enclosure import PLACE, Enclosure
from tests.cluster.node.kubelet import TUNED

Traces = dict[str, set[str]]


def found() -> Traces:
    """All of them, by kind."""
    return {kind: look() for kind, look in KINDS.items()}


def left(before: Traces, enclosure: Enclosure) -> Traces:
    """What is there now and was not before, by kind; other enclosures come and go meanwhile."""
    return {
        kind: fresh
        for kind, now in found().items()
        if (fresh := {t for t in now - before[kind] if "mlf-" not in t or enclosure.id in t})
    }


def _mounts() -> set[str]:
    return set(Path("/proc/self/mounts").read_text().splitlines())


def _interfaces() -> set[str]:
    return {path.name for path in Path("/sys/class/net").iterdir()}


def _firewall() -> set[str]:
    """Rules of every kind, without the counters and dates around them."""
    rules: set[str] = set()
    for program in ("iptables-save", "ip6tables-save", "iptables-legacy-save"):
        printed = subprocess.run([program], capture_output=True, text=True, check=False).stdout
        rules |= {line for line in printed.splitlines() if line.startswith("-")}
    return rules


def _groups() -> set[str]:
    return {str(g) for place in control_groups.hierarchies() for g in place.glob("*/")}


def _folders() -> set[str]:
    """By what they are called on the machine, so that those of others can be told apart."""
    return {Enclosure(folder).id for folder in PLACE.glob("*/")}


def _disks() -> set[str]:
    """Files that are mounted as disks, by whose they are."""
    found = set()
    for file in Path("/sys/block").glob("loop*/loop/backing_file"):
        with suppress(OSError):  # let go meanwhile
            backing = Path(file.read_text().strip().removesuffix(" (deleted)"))
            found.add(Enclosure(backing.parent).id)
    return found


def _kernel() -> set[str]:
    names = [*TUNED, "net/ipv4/ip_forward", "net/netfilter/nf_conntrack_max"]
    files = [Path("/proc/sys") / name for name in names]
    return {f"{file}={file.read_text().strip()}" for file in files if file.exists()}


KINDS: dict[str, Callable[[], set[str]]] = {
    "mounts": _mounts,
    "interfaces": _interfaces,
    "firewall": _firewall,
    "control groups": _groups,
    "folders": _folders,
    "disks": _disks,
    "kernel": _kernel,
}
