"""Processes that a test starts and reads, none of which outlives it."""

import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def ended_with_the_test() -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start processes by what is given, as `Popen` is; what they print is in `stdout`."""
    processes = []

    def start(command: Sequence[str | Path], **options: Any) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
        )
        processes.append(process)
        return process

    try:
        yield start
    finally:
        for process in processes:
            process.kill()
            process.wait()
            assert process.stdout
            process.stdout.close()
