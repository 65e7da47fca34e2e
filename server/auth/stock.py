"""Plain `mlflow server` with its login: `python -m server.auth.stock`, with its arguments."""

import os
import sys

from .config_file import write_config_file
from .contract import CACHE_SECONDS


def main() -> None:
    """Write the file that it reads, and become it."""
    write_config_file(password_seconds=int(os.environ[CACHE_SECONDS]))
    os.execv(sys.executable, [sys.executable, "-P", "-m", "mlflow", "server", *sys.argv[1:]])  # noqa: S606


if __name__ == "__main__":
    main()
