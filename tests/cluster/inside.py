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

DISK = Path("/run/disk")
DISK_BYTES = 40 * 2**30


def main(folder: Path) -> int:
    """Run the command to its end."""
    plan = Enclosure(folder).plan
    mount("--make-rshared", "/")  # as on a machine: what one mounts, all see
    here = control_groups.hierarchies()
    if plan.link:
        mount("-t", "sysfs", "sysfs", "/sys")  # shows the network that is looked at from
    mount_control_groups(here)
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    mount_disk(folder / "disk", DISK)
    for place in HOME:
        (DISK / place).mkdir(parents=True)
        mount("--bind", str(DISK / place), f"/{place}")
    child = subprocess.Popen(plan.command)
    while True:
        pid, status = os.wait()
        if pid == child.pid:
            return os.waitstatus_to_exitcode(status)


def mount_disk(file: Path, place: Path) -> None:
    """Have a disk of its own, in one file: of a million small ones, this machine forgets one."""
    if not file.exists():
        with file.open("wb") as disk:
            disk.truncate(DISK_BYTES)  # what is not written takes no room
        quiet = ["-q", "-O", "^has_journal", "-E", "lazy_itable_init=1,nodiscard"]
        subprocess.run(["mkfs.ext4", *quiet, str(file)], check=True)
    place.mkdir()
    mount("-o", "loop,nobarrier", str(file), str(place))


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
