"""The images that a node brings: for its own pods, and a small one for tests."""

import shutil
import subprocess
from pathlib import Path

from tests.cluster.node import image_archive
from tests.cluster.node.layout import Layout

ACCOUNTS = "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"


def busybox(file: Path) -> Path:
    """A shell and its tools, from Debian's package; does nothing by itself, as a pod's first."""
    program = Path(shutil.which("busybox") or "/bin/busybox")
    tools = subprocess.run(
        [program, "--list"], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.split()
    return image_archive.write(
        file,
        "busybox:latest",
        program,
        "bin/busybox",
        links=[tool for tool in tools if tool != "busybox"],
        files={"etc/passwd": ACCOUNTS},
        command=["sleep", "infinity"],
    )


def coredns(file: Path, layout: Layout) -> Path:
    """The DNS server that was built."""
    return image_archive.write(
        file, "coredns:built", Path(layout.binary("coredns")), "bin/coredns", command=["coredns"]
    )
