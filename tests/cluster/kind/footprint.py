"""The memory of a container, seen from inside of it: `python - < footprint.py`."""

import json
from pathlib import Path

V1, V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
ME = str(Path("/proc/self").resolve())


def numbers(file: Path) -> dict[str, int]:
    """A file of one name and one number in each line."""
    pairs = (line.split()[:2] for line in file.read_text().splitlines())
    return {name.rstrip(":"): int(number) for name, number in pairs if number.isdecimal()}


def share(process: Path) -> int:
    """What a process takes; what it shares with others counts in parts."""
    return numbers_of_a_map(process / "smaps_rollup").get("Pss", 0)


def numbers_of_a_map(file: Path) -> dict[str, int]:
    """Bytes by name; the first line is a range of addresses."""
    lines = [line.split() for line in file.read_text().splitlines()[1:]]
    return {line[0].rstrip(":"): int(line[1]) * 1024 for line in lines}


if V1.exists():
    used, limit = V1 / "memory.usage_in_bytes", V1 / "memory.limit_in_bytes"
    cache, killed = "total_inactive_file", numbers(V1 / "memory.oom_control")
    stat, peak = numbers(V1 / "memory.stat"), V1 / "memory.max_usage_in_bytes"
else:
    used, limit = V2 / "memory.current", V2 / "memory.max"
    cache, killed = "inactive_file", numbers(V2 / "memory.events")
    stat, peak = numbers(V2 / "memory.stat"), V2 / "memory.peak"

processes = [each for each in Path("/proc").glob("[0-9]*") if str(each) != ME]
current = int(used.read_text())
print(
    json.dumps(
        {
            "limit": int(limit.read_text()),
            "current": current,
            # Not every kernel with version 2 counts it.
            "peak": int(peak.read_text()) if peak.exists() else 0,
            # What the kubelet goes by: without what the kernel would give back at once.
            "working set": current - stat[cache],
            "share": sum(share(each) for each in processes),
            "processes": sorted(int(each.name) for each in processes),
            "killed for memory": killed["oom_kill"],
        }
    )
)
