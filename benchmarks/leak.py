"""Whether a server that has answered 100,000 requests holds more than one that has answered few.

`python -m benchmarks.leak`. Requests of all kinds, in no order, on a real Postgres. What the second
quarter has in the middle is what the last one may have; the first one fills caches and pools.
"""

import argparse
import random
import statistics
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import psycopg2

from .servers import FOLDER, OPERATIONS, Operation, Server, opened

EVERY = 5_000
CLIENTS = 4
FILE = "/api/2.0/mlflow-artifacts/artifacts/leak/file"
CONTENT = b"x" * 200_000
SMALL = [
    Operation("artifact up", "PUT", FILE, lambda _: CONTENT),
    Operation("artifact down", "GET", FILE, lambda _: None),
]
SHARES = {
    "log-metric": 50, "log-batch of 100": 10, "runs/create": 10, "runs/get": 10,
    "runs/search 50": 4, "experiments/search": 6, "page": 6, "artifact up": 2, "artifact down": 2,
}  # fmt: skip
"""Of a hundred requests."""

SLACK = {"memory_mib": 10, "open_files": 2, "connections": 2}
"""What two looks may differ by: memory that Python keeps for the next time, and connections that
the pools of the two workers hold at the moment. Half of all requests lie between the middles of
the second and of the last quarter: of 50,000, one file lost in each 20,000 shows, or 210 bytes in
each."""


@dataclass(frozen=True)
class Held:
    """What a server holds between two requests."""

    memory_mib: float
    open_files: int
    connections: int
    scratch_files: int


def held(server: Server) -> Held:
    """Look at a server that has nothing to do."""
    url = server.database.replace("+psycopg2", "")
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        (connections,) = cursor.fetchone() or (0,)
    return Held(
        memory_mib=server.own_memory_mib(),
        open_files=server.open_files(),
        connections=connections,
        scratch_files=sum(each.is_file() for each in server.scratch.rglob("*")),
    )


def measure(requests: int) -> list[tuple[int, Held]]:
    """What the server held after how many requests."""
    known = {each.name: each for each in [*OPERATIONS, *SMALL]}
    dice = random.Random(0)  # noqa: S311
    with opened(["tuned"]) as servers:
        server = servers["tuned"]
        server.send([known["artifact up"]], 1)
        seen = [(0, held(server))]
        for done in range(EVERY, requests + 1, EVERY):
            hundred = [known[name] for name, share in SHARES.items() for _ in range(share)]
            mixed = hundred * (EVERY // 100)
            dice.shuffle(mixed)
            load = server.send(mixed, CLIENTS)
            seen.append((done, held(server)))
            print(f"{done:>7} requests, {load.rate:.0f} a second", file=sys.stderr)
    return seen


def markdown(seen: Sequence[tuple[int, Held]]) -> str:
    """The table for people."""
    names = [each.name.replace("_", " ").replace("mib", "MiB") for each in fields(Held)]
    lines = [
        f"| {done:,} | {each.memory_mib:.0f} | {each.open_files} | {each.connections} "
        f"| {each.scratch_files} |"
        for done, each in seen
    ]
    return "\n".join([f"| requests | {' | '.join(names)} |", "|--:|--:|--:|--:|--:|", *lines, ""])


def leaks(seen: Sequence[tuple[int, Held]]) -> list[str]:
    """What the last quarter has more of than the second one."""
    quarter = (len(seen) - 1) // 4
    all_of_it = [astuple(each) for _, each in seen[1:]]
    second, last = all_of_it[quarter : 2 * quarter], all_of_it[-quarter:]
    found = []
    for place, field in enumerate(fields(Held)):
        before, after = (statistics.median(each[place] for each in part) for part in (second, last))
        word = f"{field.name}: {before:.1f} in the second quarter, {after:.1f} in the last"
        print(word)
        if after > before + SLACK.get(field.name, 0):
            found.append(word)
    return found


def plot(seen: Sequence[tuple[int, Held]], file: Path) -> None:
    """Memory above, and below what is counted."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, (above, below) = pyplot.subplots(2, 1, sharex=True, figsize=(7, 5))
    requests = [done for done, _ in seen]
    above.plot(requests, [each.memory_mib for _, each in seen])
    above.set_ylabel("memory without files, MiB")
    for name in ("open_files", "connections", "scratch_files"):
        below.plot(
            requests, [getattr(each, name) for _, each in seen], label=name.replace("_", " ")
        )
    below.set_xlabel("requests")
    below.legend()
    for axes in (above, below):
        axes.set_ylim(bottom=0)
    figure.tight_layout()
    figure.savefig(file, dpi=80)


def main() -> None:
    """Measure, print, and fail if it leaks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    requests = parser.parse_args().requests
    if requests < 4 * EVERY:
        parser.error(f"--requests {requests}: {4 * EVERY} at least, one look in each quarter")
    seen = measure(requests)
    FOLDER.mkdir(parents=True, exist_ok=True)
    plot(seen, FOLDER / "leak.png")
    print(markdown(seen))
    if found := leaks(seen):
        raise SystemExit("\n".join(["It leaks.", *found]))


if __name__ == "__main__":
    main()
