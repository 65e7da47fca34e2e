"""What holds for every tier."""

import os
import sys
from pathlib import Path

# `make` does not activate the environment, and MLflow runs a project with the `python` on PATH.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
