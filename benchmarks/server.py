"""Our server beside `mlflow server` as it comes: same Postgres, same cores, same moment.

The two are loaded in turns, so that what else the machine does meets both. What counts is the
median of the rounds' ratios; a single figure says as much about the machine.
"""

import argparse
import statistics
import sys
from dataclasses import replace
from pathlib import Path

from .servers import FOLDER, OPERATIONS, UPLOAD, Load, opened

UPLOADS = replace(UPLOAD, count=4, connections=4)
"""At once."""


def measure(rounds: int) -> list[tuple[str, float, float, float]]:
    """Rows of the table: what, MLflow's figure, ours, and how many times less that is."""
    table = []
    with opened() as servers:
        stock, tuned = servers["stock"], servers["tuned"]
        table.append(_row("CPU to start, s", [(stock.start_cpu, tuned.start_cpu)]))
        table.append(_row("memory idle, MiB", [(stock.memory_mib(), tuned.memory_mib())]))
        for server in servers.values():  # what is done once, such as filling pools
            for operation in OPERATIONS:
                server.load(operation)
        loads: dict[str, list[tuple[Load, Load]]] = {each.name: [] for each in OPERATIONS}
        for number in range(rounds):
            for operation in OPERATIONS:
                order = [stock, tuned] if number % 2 == 0 else [tuned, stock]
                done = {id(server): server.load(operation) for server in order}
                loads[operation.name].append((done[id(stock)], done[id(tuned)]))
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
        grown = [(stock.growth_mib(UPLOADS), tuned.growth_mib(UPLOADS)) for _ in range(rounds)]
        for name, pairs in loads.items():
            table.append(_row(f"{name}: CPU s/1,000", [(a.cpu, b.cpu) for a, b in pairs]))
            table.append(_row(f"{name}: s/1,000", [(1e3 / a.rate, 1e3 / b.rate) for a, b in pairs]))
            table.append(_row(f"{name}: p50 ms", [(a.p50, b.p50) for a, b in pairs]))
            table.append(_row(f"{name}: p99 ms", [(a.p99, b.p99) for a, b in pairs]))
        table.append(_row("memory of each of 4 uploads of 100 MB at once, MiB", grown))
        table.append(_row("memory after, MiB", [(stock.memory_mib(), tuned.memory_mib())]))
    return table


def _row(name: str, pairs: list[tuple[float, float]]) -> tuple[str, float, float, float]:
    stock, tuned = (statistics.median(each) for each in zip(*pairs, strict=True))
    # A cell can be shorter than the clock's tick.
    return name, stock, tuned, statistics.median(a / max(b, 1e-9) for a, b in pairs)


def markdown(table: list[tuple[str, float, float, float]]) -> str:
    """The table for people."""
    lines = [f"| {n} | {a:.3g} | {b:.3g} | {ratio:.1f} |" for n, a, b, ratio in table]
    return "\n".join(["| | mlflow server | ours | times less |", "|---|--:|--:|--:|", *lines, ""])


def plot(table: list[tuple[str, float, float, float]], file: Path) -> None:
    """How many times less CPU."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    shown = [(n.removesuffix(": CPU s/1,000"), ratio) for n, _, _, ratio in table if "CPU" in n]
    names, ratios = zip(*reversed(shown), strict=True)
    figure, axes = pyplot.subplots(figsize=(7, 4))
    axes.bar_label(axes.barh(names, ratios), fmt="%.1f", padding=2)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("CPU of mlflow server, divided by ours")
    figure.tight_layout()
    figure.savefig(file)


def main() -> None:
    """Measure, print, and leave both in a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    table = measure(parser.parse_args().rounds)
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "server.md").write_text(markdown(table))
    plot(table, FOLDER / "server.svg")
    print(markdown(table))
    print(f"{FOLDER}/server.md and server.svg")


if __name__ == "__main__":
    main()
