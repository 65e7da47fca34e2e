"""The first process of an enclosure: sees to its mounts, runs its command, and reaps.

`python -m tests.cluster.inside FOLDER`, in namespaces of its own. When it ends, the kernel ends all
that is left in there, and all mounts and interfaces that were made in there are gone.
"""

import os
import subprocess
import sys
from pathlib import Path

from tests.cluster import control_groups
from tests.cluster.enclosure import Enclosure

HOME = ("var/lib", "var/log")
"""Where programs keep things if they are not told otherwise: inside, these are the enclosure's."""


def main(folder: Path) -> int:
    """Run the command to its end."""
    plan = Enclosure(folder).plan
    for place in HOME:
        (folder / place).mkdir(parents=True, exist_ok=True)
    mount("--make-rshared", "/")  # as on a machine: what one mounts, all see
    here = control_groups.hierarchies()
    if plan.link:
        mount("-t", "sysfs", "sysfs", "/sys")  # shows the network that is looked at from
    mount_control_groups(here)
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    for place in HOME:
        mount("--bind", str(folder / place), f"/{place}")
    child = subprocess.Popen(plan.command)
    while True:
        pid, status = os.wait()
        if pid == child.pid:
            return os.waitstatus_to_exitcode(status)


def mount_control_groups(here: dict[Path, tuple[str, str]]) -> None:
    """Show the control groups as if the enclosure's own were the machine's."""
    if control_groups.ROOT not in here:
        mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", str(control_groups.ROOT))
    for place, (kind, options) in here.items():
        place.mkdir(exist_ok=True)
        mount("-t", kind, "-o", options, kind, str(place))
        leave_to_others(place)


def leave_to_others(group: Path) -> None:
    """Version 2 wants processes in the leaves: go to one, so that others can be made."""
    if (group / "cgroup.controllers").exists() and group == control_groups.ROOT:
        (group / "init").mkdir()
        (group / "init" / "cgroup.procs").write_text(str(os.getpid()))
        control_groups.hand_down(group)


def mount(*arguments: str) -> None:
    """Run `mount`."""
    subprocess.run(["mount", *arguments], check=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
