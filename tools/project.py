"""Where things lie in this checkout and on this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"

LOCAL = ROOT / ".local"
"""Everything that local stacks own: Pulumi state, data, logs. Ignored by git."""


def cache() -> Path:
    """Folder for what is slow to make and the same for every checkout of this user."""
    if chosen := os.environ.get("XDG_CACHE_HOME"):
        return Path(chosen) / "mlflow-platform"
    home = Path.home()
    caches = home / "Library" / "Caches" if sys.platform == "darwin" else home / ".cache"
    return caches / "mlflow-platform"
