"""Commands whose output matters only when they fail."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools import child
from tools.project import LOCAL, ROOT

LOGS = LOCAL / "logs"
TAIL = 30


class CommandFailed(Exception):
    """A command ended with an error; carries what it printed."""

    def __init__(self, command: Sequence[str], code: int, output: str, log: Path) -> None:
        shown = "\n".join(f"  {line}" for line in output.splitlines()[-TAIL:])
        super().__init__(f"`{' '.join(command)}` ended with {code}:\n{shown}\nAll of it: {log}")
        self.output = output


def run(
    name: str, command: Sequence[str], env: Mapping[str, str] | None = None, cwd: Path = ROOT
) -> str:
    """Run a command without a terminal, keep its output in `.local/logs/NAME.log`, return it."""
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{name}.log"
    with log.open("w") as sink:
        quiet = {"stdin": subprocess.DEVNULL, "stdout": sink, "stderr": sink}
        code = child.run(command, env=env, cwd=cwd, **quiet)
    output = log.read_text(errors="replace")
    if code:
        raise CommandFailed(command, code, output, log)
    return output
