"""What the tracking image installs, beside what MLflow's own images do.

`python -m benchmarks.image`. Each set of packages is installed into an environment that is gone
afterwards, from the index that pip is configured for and with the Python that runs this. The base
image and the compression of layers are left out: they are the same for all.
"""

import subprocess
import sys
import tempfile
import venv
from importlib.metadata import distributions
from pathlib import Path

from server.spec import MLFLOW_VERSION

OURS = Path(__file__).parents[1] / "server" / "requirements.txt"

PACKAGES = {
    "ours": ["--require-hashes", "--only-binary=:all:", f"--requirement={OURS}"],
    "MLflow's": [f"mlflow=={MLFLOW_VERSION}"],
    "MLflow's, `full`": [f"mlflow[extras,azure,db,gateway,genai,auth]=={MLFLOW_VERSION}"],
}
"""As `docker/Dockerfile` and `docker/Dockerfile.full` of MLflow's repository have them."""

MIB = 2**20


def installed(packages: list[str]) -> tuple[float, int]:
    """MiB, compiled modules included, and the number of packages."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder)
        pip = [sys.executable, "-m", "pip", f"--python={folder}", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--quiet", *packages], check=True)
        (site,) = Path(folder).glob("lib/python*/site-packages")
        size = sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) / MIB
        return size, len(list(distributions(path=[str(site)])))


def main() -> None:
    """Print a table in Markdown."""
    print("| Image | MiB | to ours | packages | to ours |")
    print("|---|--:|--:|--:|--:|")
    ours = installed(PACKAGES["ours"])
    for name, packages in PACKAGES.items():
        size, count = ours if name == "ours" else installed(packages)
        ratios = size / ours[0], count / ours[1]
        print(f"| {name} | {size:,.0f} | {ratios[0]:.2f} | {count} | {ratios[1]:.2f} |", flush=True)


if __name__ == "__main__":
    main()
