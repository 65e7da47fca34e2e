"""What the tracking image installs, beside what MLflow's own images do.

`python -m benchmarks.image`. Each set of packages is installed into an environment that is gone
afterwards, from the index that pip is configured for and with the Python that runs this. The base
image and the compression of layers are left out: they are the same for all.
"""

import re
import subprocess
import sys
import tempfile
import venv
from dataclasses import astuple, dataclass
from importlib.metadata import distributions
from pathlib import Path

from server.spec import MLFLOW_VERSION
from server.static_files import PAGES, compress

OURS = Path(__file__).parents[1] / "server" / "requirements.txt"

PACKAGES = {
    "ours": ["--require-hashes", "--only-binary=:all:", f"--requirement={OURS}"],
    "MLflow's": [f"mlflow=={MLFLOW_VERSION}"],
    "MLflow's, `full`": [f"mlflow[extras,azure,db,gateway,genai,auth]=={MLFLOW_VERSION}"],
}
"""As `docker/Dockerfile` and `docker/Dockerfile.full` of MLflow's repository have them."""

MIB = 2**20


@dataclass(frozen=True)
class Installed:
    """What an image gets by a set of packages."""

    mib: float
    """Compiled modules included."""
    packages: int
    page_kib: float
    """What a browser fetches before MLflow's page can begin: the HTML, and the files it names."""


def installed(packages: list[str], *, compressed: bool) -> Installed:
    """Install them for a moment, and compress the page's files, or leave them as they are."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder)
        pip = [sys.executable, "-m", "pip", f"--python={folder}", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--quiet", *packages], check=True)
        (site,) = Path(folder).glob("lib/python*/site-packages")
        pages = site / PAGES
        if compressed:
            compress(pages)
        size = sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) / MIB
        return Installed(size, len(list(distributions(path=[str(site)]))), first_page_kib(pages))


def first_page_kib(pages: Path) -> float:
    """The page of a folder as it is sent: a compressed file in place of the one beside it."""
    html = pages / "index.html"
    named = re.findall(r'"(?:\./)?static-files/([^"]+)"', html.read_text())
    files: list[Path] = [html, *(pages / name for name in named)]
    beside = [file.with_name(f"{file.name}.gz") for file in files]
    sent = [small if small.is_file() else file for file, small in zip(files, beside, strict=True)]
    return sum(file.stat().st_size for file in sent) / 1024


def main() -> None:
    """Print a table in Markdown."""
    print("| Image | MiB | to ours | packages | to ours | page, KiB | to ours |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    ours = installed(PACKAGES["ours"], compressed=True)
    for name, packages in PACKAGES.items():
        this = ours if name == "ours" else installed(packages, compressed=False)
        pairs = zip(astuple(this), astuple(ours), strict=True)
        cells = [f"{figure:,.0f} | {figure / our_own:.2f}" for figure, our_own in pairs]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
