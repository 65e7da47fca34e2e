"""What a login costs: our server with one, beside our server without.

`python -m benchmarks.login`. The two are loaded in turns, as in `benchmarks.server`. Who asks is no
admin, but a user with rights on two experiments, who may read all others.
"""

import argparse
import statistics
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from components.local.object_store import BUCKET
from server import migration
from server.spec import Auth, ServerSpec
from tests.local.databases import equal_databases
from tests.local.stack import free_ports

from .servers import (
    CONTENT,
    EXPERIMENT,
    FOLDER,
    HEADERS,
    OPERATIONS,
    RUN,
    SIZE,
    Load,
    Server,
    bucket,
    running,
)

USER, PASSWORD = "scientist", "correct horse battery"  # noqa: S105
LOGIN = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
KINDS: list[Auth] = ["none", "basic"]
TURNS = 10
"""Of short requests in a round: what is compared differs by less than the machine does from one
second to the next."""

SHORT = 10
"""Requests in a turn, at least; what has fewer takes longer, and has one turn."""

OPERATIONS = [
    replace(each, path=each.path.replace("bench", f"{EXPERIMENT}/{RUN}/artifacts"))
    for each in OPERATIONS
]


def make_users(url: str) -> None:
    """What the migration makes, and one user more."""
    migration.migrate(url, runtime_role=None, instance=None, admin_password=PASSWORD)
    from mlflow.server import auth

    auth.store.init_db(url)
    auth.store.create_user(USER, PASSWORD)
    for experiment in ("0", EXPERIMENT):
        auth.store.grant_user_permission(USER, "experiment", experiment, "MANAGE")


@contextmanager
def opened() -> Iterator[tuple[Server, Server]]:
    """Without a login, and with one."""
    python = Path(sys.executable)
    with ExitStack() as stack:
        urls = stack.enter_context(equal_databases(KINDS, content=CONTENT))
        objects = stack.enter_context(bucket())
        make_users(urls[1])
        servers = []
        for auth, url in zip(KINDS, urls, strict=True):
            port, metrics = free_ports(2)
            spec = ServerSpec(
                size=SIZE,
                host="127.0.0.1",
                port=port,
                names=("127.0.0.1",),
                auth=auth,
                metrics=metrics,
            )
            environment = {
                **spec.environment(),
                **spec.stores(url, f"gs://{BUCKET}/{auth}"),
                **spec.login_secrets(PASSWORD, "a key"),
                **objects,
            }
            program, *arguments = spec.command()
            command = [str(python.with_name(program)), *arguments]
            servers.append(stack.enter_context(running(command, environment, port, url)))
        without, with_login = servers
        with_login.headers = HEADERS | {"Authorization": f"Basic {LOGIN}"}
        yield without, with_login


def measure(rounds: int) -> list[str]:
    """Rows of the table: what, CPU without and with a login, and the median of their ratios."""
    with opened() as servers:
        without, with_login = servers
        for server in servers:  # what is done once, such as hashing the password
            for operation in OPERATIONS:
                server.load(operation)
        pairs: dict[str, list[tuple[Load, Load]]] = {each.name: [] for each in OPERATIONS}
        for number in range(rounds):
            for operation in OPERATIONS:
                for turn in range(TURNS if operation.count >= SHORT else 1):
                    order = servers if (number + turn) % 2 == 0 else reversed(servers)
                    done = {id(server): server.load(operation) for server in order}
                    pairs[operation.name].append((done[id(without)], done[id(with_login)]))
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
        rows = [_row(name, [(a.cpu, b.cpu) for a, b in loads]) for name, loads in pairs.items()]
        memory = (without.memory_mib(), with_login.memory_mib())
        return [*rows, _row("memory after, MiB", [memory])]


def _row(name: str, pairs: list[tuple[float, float]]) -> str:
    without, with_login = (statistics.median(each) for each in zip(*pairs, strict=True))
    ratio = statistics.median(b / max(a, 1e-9) for a, b in pairs)
    return f"| {name} | {without:.3g} | {with_login:.3g} | {ratio:.2f} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rows = measure(parser.parse_args().rounds)
    heading = "| CPU s/1,000 | no login | login | times |"
    table = "\n".join([heading, "|---|--:|--:|--:|", *rows, ""])
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "login.md").write_text(table)
    print(table)


if __name__ == "__main__":
    main()
