"""The folder that a container image is built from, and a tag that changes with its content."""

import hashlib
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[1]

IGNORE_FILE = ".dockerignore"

GLOB = {"**/": r"(?:.*/)?", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}
"""Docker's wildcards, as regular expressions."""

TAG_LENGTH = 16


@dataclass(frozen=True)
class BuildContext:
    """What Docker would send to a builder: a folder, less what its `.dockerignore` names."""

    folder: str
    """Below the project's folder, which is elsewhere on every machine."""
    arguments: Mapping[str, str] = field(default_factory=dict)
    """Build arguments."""
    architecture: str | None = "amd64"
    """CPU of the machines that run the image; nothing for this machine's own."""

    @property
    def tag(self) -> str:
        """Equal for equal content, on any machine and whenever the files were written."""
        digest = hashlib.sha256()
        for name, value in sorted(self.arguments.items()):
            digest.update(f"argument {name}={value}\0".encode())
        if self.architecture not in ("amd64", None):
            digest.update(f"architecture {self.architecture}\0".encode())
        for path in self.files():
            content = hashlib.sha256((ROOT / self.folder / path).read_bytes()).hexdigest()
            digest.update(f"{self._mode(path):o} {path} {content}\0".encode())
        return digest.hexdigest()[:TAG_LENGTH]

    def files(self) -> list[PurePosixPath]:
        """Every file that can have a part in the image, the Dockerfile first of all."""
        folder = ROOT / self.folder
        rules = list(_rules(folder / IGNORE_FILE))
        found = (
            PurePosixPath(path.relative_to(folder).as_posix())
            for path in folder.rglob("*")
            if path.is_file()
        )
        dockerfile = PurePosixPath("Dockerfile")
        others = (p for p in found if p != dockerfile and not _ignored(p, rules))
        return [dockerfile, *sorted(others)]

    def copy_to(self, target: Path) -> None:
        """Put the files, and nothing else of the folder, into another one."""
        source = ROOT / self.folder
        for path in self.files():
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / path, target / path)
            (target / path).chmod(self._mode(path))
        if (source / IGNORE_FILE).exists():  # it may keep the Dockerfile out of `COPY . .`
            shutil.copyfile(source / IGNORE_FILE, target / IGNORE_FILE)

    def _mode(self, path: PurePosixPath) -> int:
        """As Git knows it: the rest depends on who cloned."""
        executable = (ROOT / self.folder / path).stat().st_mode & 0o100
        return 0o755 if executable else 0o644


def _rules(file: Path) -> Iterator[tuple[re.Pattern[str], bool]]:
    """The patterns of a `.dockerignore`, each with whether it takes files out or back in."""
    for line in file.read_text().splitlines() if file.exists() else ():
        glob = line.strip()
        if glob and not glob.startswith("#"):
            parts = re.split(r"(\*\*/|\*\*|\*|\?)", glob.removeprefix("!").strip("/"))
            pattern = "".join(GLOB.get(part, re.escape(part)) for part in parts)
            yield re.compile(pattern), not glob.startswith("!")


def _ignored(path: PurePosixPath, rules: list[tuple[re.Pattern[str], bool]]) -> bool:
    """The last rule that matches a file, or a folder that it is in, decides."""
    names = [str(path), *(str(parent) for parent in path.parents[:-1])]
    matching = [out for pattern, out in rules if any(map(pattern.fullmatch, names))]
    return matching[-1] if matching else False
