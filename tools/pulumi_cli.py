"""The Pulumi CLI: the one on PATH, or the official download, or a build of the pinned Go module.

Runs in `.venv`, because the SDK installed there knows where the official CLI is.
"""

import hashlib
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tools import logged, progress
from tools.backend import FolderBackend
from tools.project import PYTHON, ROOT, cache

INSTALLER = "https://get.pulumi.com/install.sh"
MODULE = ROOT / "tools"
COMMAND = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
DOWNLOAD_LIMIT = 600
"""Seconds for the archive of the official CLI, about 100 MB."""


class NoPulumi(Exception):
    """No Pulumi CLI is here, and none could be had."""


def oldest() -> tuple[int, ...]:
    """The oldest CLI that will do, as `Pulumi.yaml` says to the CLI itself."""
    text = (ROOT / "Pulumi.yaml").read_text()
    found = re.search(r'^requiredPulumiVersion: ">=([\d.]+)"$', text, re.MULTILINE)
    if found is None:
        raise NoPulumi('Pulumi.yaml has no line like: requiredPulumiVersion: ">=3.232.0"')
    return tuple(map(int, found[1].split(".")))


def find() -> Path:
    """The CLI to use; downloads or builds one if there is none, and says so."""
    refusals: list[str] = []
    for way in (on_path, downloaded, built, download, build):
        try:
            if cli := way():
                return cli
        except NoPulumi as refusal:
            refusals.append(f"  - {refusal}")
    raise NoPulumi(
        "no Pulumi CLI:\n"
        + "\n".join(refusals)
        + "\nInstall it (https://www.pulumi.com/docs/install), or Go (https://go.dev/dl), "
        "and type the same command again."
    )


def on_path() -> Path | None:
    """The user's own CLI, if it is recent enough and can run Python programs."""
    name = shutil.which("pulumi")
    if name is None:
        raise NoPulumi("there is no `pulumi` on PATH")
    answer = subprocess.run(
        [name, "version"],
        env=os.environ | {"PULUMI_SKIP_UPDATE_CHECK": "true"},
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    version = re.match(r"v(\d+)\.(\d+)\.(\d+)", answer)
    needed = ".".join(map(str, oldest()))
    if version is None:
        raise NoPulumi(f"{name} does not say its version")
    if tuple(map(int, version.groups())) < oldest():
        raise NoPulumi(f"{name} is {answer}, and v{needed} or newer is needed")
    # Some distributions package the language hosts apart from the CLI.
    beside = Path(name).resolve().parent / "pulumi-language-python"
    if not beside.exists() and shutil.which("pulumi-language-python") is None:
        raise NoPulumi(f"{name} has no pulumi-language-python beside it or on PATH")
    return Path(name)


def official_root() -> Path:
    """Where the official CLI goes that has the SDK's own version."""
    from pulumi._version import version

    return cache() / f"pulumi-{version}"


def downloaded() -> Path | None:
    """The official CLI of an earlier download."""
    return existing(official_root())


def download() -> Path:
    """Let the SDK install the official CLI into the user's cache."""
    root = official_root()
    if shutil.which("curl") is None:
        raise NoPulumi("the official installer needs curl (sudo apt install curl)")
    try:
        # Only to learn within seconds whether a proxy or firewall refuses it.
        urllib.request.urlopen(INSTALLER, timeout=5).close()  # noqa: S310
    except OSError as refusal:
        raise NoPulumi(f"{INSTALLER} cannot be reached ({refusal})") from refusal

    with progress.step("Pulumi CLI", expect="downloading 100 MB") as done, appearing(root) as fresh:
        code = (
            "import sys; from pulumi.automation import PulumiCommand;"
            "PulumiCommand.install(root=sys.argv[1])"
        )
        # In a process group of its own: the installer starts curl, which must not outlive it.
        process = subprocess.Popen(
            [sys.executable, "-c", code, fresh],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=DOWNLOAD_LIMIT)
        except subprocess.TimeoutExpired as slow:
            raise NoPulumi(f"the download took longer than {DOWNLOAD_LIMIT} s") from slow
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        if process.returncode:
            raise NoPulumi(f"the official installer failed: {output.strip().splitlines()[-1]}")
        done(f"kept in {root}")
    return root / "bin" / "pulumi"


def module_root() -> Path:
    """Where the build goes; another version, patch of ours or processor is another folder."""
    digest = hashlib.sha256(f"{platform.system()} {platform.machine()}".encode())
    for file in sorted([*MODULE.glob("go.*"), *(MODULE / "bin").iterdir()]):
        if file.is_file():
            digest.update(file.read_bytes())
    return cache() / f"pulumi-go-{digest.hexdigest()[:12]}"


def built() -> Path | None:
    """The CLI of an earlier build."""
    return existing(module_root())


GO = {"CGO_ENABLED": "0", "GOWORK": "off", "GOGC": "400"}
"""What it is told. To look for garbage as often as it does is a fifth of the compiler's time."""

QUICKLY = ("-trimpath", "-gcflags=all=-dwarf=false")
"""Nobody debugs what it builds: a tenth of the compiler's time is for who would."""


def build() -> Path:
    """Build the Go module that `tools/go.mod` pins, and put our language host beside it."""
    go = shutil.which("go")
    if go is None:
        raise NoPulumi("there is no `go` on PATH to build it from source")
    root = module_root()
    version = re.search(r"pulumi/pkg/v3 (v[\d.]+)", (MODULE / "go.mod").read_text())
    stamp = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"
    flags = f"-s -w -X {stamp}={version[1].removeprefix('v') if version else ''}"
    expect = "building it with Go, about four minutes on two cores, once"
    with progress.step("Pulumi CLI", expect=expect) as done, appearing(root) as fresh:
        # The engine looks for plugins next to its own executable, as in the official archive.
        shutil.copytree(MODULE / "bin", fresh / "bin", ignore=shutil.ignore_patterns("__pycache__"))
        binary = str(fresh / "bin" / "pulumi")
        command = [go, "build", *QUICKLY, "-ldflags", flags, "-o", binary, COMMAND]
        try:
            logged.run("go-build", command, env=os.environ | GO, cwd=MODULE)
        except logged.CommandFailed as failure:
            raise NoPulumi(f"building it from source failed. {failure}") from failure
        done(f"kept in {root}")
    return root / "bin" / "pulumi"


@contextmanager
def appearing(root: Path) -> Iterator[Path]:
    """A folder that becomes `root` when the block ends well, so that `root` is whole or absent."""
    root.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=root.parent, prefix=f".{root.name}-"))
    try:
        yield fresh
        with suppress(OSError):  # another process was quicker
            fresh.rename(root)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def existing(root: Path) -> Path | None:
    """The CLI below a root, if there is one."""
    cli = root / "bin" / "pulumi"
    return cli if cli.exists() else None


def environment(backend: FolderBackend | None = None) -> dict[str, str]:
    """The environment in which to run the CLI.

    Without a backend the user's own Pulumi settings hold: login, `PULUMI_BACKEND_URL`, passphrase.
    With one, none of them does, and nothing is downloaded: what such a stack needs is in `.venv`.
    """
    ours = {"PULUMI_SKIP_UPDATE_CHECK": "true", "PULUMI_PYTHON_CMD": str(PYTHON)}
    if backend is None:
        return os.environ | ours
    neutral = {k: v for k, v in os.environ.items() if not k.startswith("PULUMI_")}
    # The language host asks for the plugin of every provider SDK in `.venv`, used or not.
    offline = {"PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true"}
    return neutral | ours | offline | backend.variables


if __name__ == "__main__":
    try:
        find()
    except (NoPulumi, logged.CommandFailed) as problem:
        sys.exit(f"error: {problem}")
    except KeyboardInterrupt:
        sys.exit(130)
