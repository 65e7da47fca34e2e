"""Commands that get Ctrl-C themselves and are waited for while they clean up."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence
from typing import Any


def run(command: Sequence[str], **options: Any) -> int:
    """Run a command and return its exit code; after Ctrl-C, only when it has come to its end.

    `subprocess.run` kills a child that takes longer to stop. A killed Pulumi leaves its stack
    locked and what it started unrecorded.
    """
    interrupted = False

    def note(*_: object) -> None:
        nonlocal interrupted
        interrupted = True

    # A handler, unlike SIG_IGN, is not inherited: the terminal's signal still ends the child.
    before = signal.signal(signal.SIGINT, note)
    try:
        with subprocess.Popen(command, **options) as process:
            code = process.wait()
    finally:
        signal.signal(signal.SIGINT, before)
    if interrupted:
        raise KeyboardInterrupt
    return code
