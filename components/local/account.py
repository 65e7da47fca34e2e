"""Who runs Postgres: we ourselves, or `nobody` where we are root, whom Postgres refuses.

`python account.py ACCOUNT COMMAND...` becomes that account, and then the command.
"""

import os
import pwd
import stat
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path


def account() -> str:
    """The account to change to; empty to stay who we are."""
    return "nobody" if os.geteuid() == 0 else ""


def run_as(account: str, command: Sequence[str]) -> list[str]:
    """The command that runs a command as the account.

    Not `subprocess`'s own way: it would fork this whole process, and its gRPC objects to that.
    """
    return [sys.executable, "-I", "-S", __file__, account, *command] if account else [*command]


def admit(folder: Path) -> None:
    """Let every account pass through the folders above this one, and through nothing else there.

    Root's own folders are closed to others: `/root` itself, or what `mktemp -d` made.
    """
    _allow(folder.parents, stat.S_IXOTH)


def publish(tree: Path) -> None:
    """Let every account read and execute what root may have installed for itself alone."""
    _allow([tree, *tree.rglob("*")], stat.S_IROTH | stat.S_IXOTH)


def _allow(paths: Iterable[Path], right: int) -> None:
    for path in paths:
        mode = path.stat().st_mode
        if mode & right != right:
            path.chmod(mode | right)


def main(account: str, *command: str) -> None:
    """Give up everything that this account is not."""
    entry = pwd.getpwnam(account)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    os.execv(command[0], command)  # noqa: S606 - a list, no shell


if __name__ == "__main__":
    main(*sys.argv[1:])
