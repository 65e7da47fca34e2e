"""What the programs of a container may do, seen from inside of it: `python - < confinement.py`."""

import json
import os
from pathlib import Path

OF_THE_KERNEL = {"/proc", "/sys", "/dev"}
ATTEMPT = "attempt-to-write"


def status(process: Path) -> dict[str, str]:
    """What the kernel says of a process."""
    lines = (process / "status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def writable() -> list[str]:
    """Every folder in which a file can be made."""
    found = []
    for folder, below, _ in os.walk("/"):
        below[:] = [each for each in below if os.path.join(folder, each) not in OF_THE_KERNEL]
        attempt = Path(folder, ATTEMPT)
        try:
            attempt.touch()
        except OSError:
            continue
        attempt.unlink()
        found.append(folder)
    return found


processes = [status(process) for process in Path("/proc").glob("[0-9]*")]
print(
    json.dumps(
        {
            "users": sorted({user for each in processes for user in each["Uid"].split()}),
            "groups": sorted({group for each in processes for group in each["Gid"].split()}),
            "capabilities": sorted({each["CapBnd"] for each in processes}),
            "gains privileges": sorted({each["NoNewPrivs"] != "1" for each in processes}),
            "system calls are filtered": sorted({each["Seccomp"] == "2" for each in processes}),
            "root is read-only": bool(os.statvfs("/").f_flag & os.ST_RDONLY),
            "writable": writable(),
        }
    )
)
