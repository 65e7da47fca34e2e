"""The brain of the stand-in `docker` and `kind`: images on one machine, and in its clusters."""

from pathlib import Path

from .program import Program
from .refusal import RefusedError
from .world import BUILD, built

NODE = "control-plane"


class Laptop(Program):
    """Docker with its images, and the nodes of clusters that kind made."""

    variable = "STAND_IN_LAPTOP"

    def answer(self, command: list[str]) -> tuple[int, str, str]:
        try:
            match command:
                case ["docker", "build", tag, *_, folder] if tag.startswith("--tag="):
                    return 0, self._build(tag.removeprefix("--tag="), Path(folder)), ""
                case ["docker", "exec", node, "ctr", "--namespace=k8s.io", "images", "list", _]:
                    self._cluster(node.removesuffix(f"-{NODE}"))
                    return 0, "\n".join(sorted(self.world.node_images)) + "\n", ""
                case ["kind", "get", "nodes", "--name", cluster]:
                    found = f"kind-{cluster}" in self.world.contexts
                    return 0, f"{cluster}-{NODE}\n" if found else "", ""
                case ["kind", "load", "docker-image", name, "--name", cluster]:
                    self._cluster(cluster)
                    self._load(name)
                    return 0, "", ""
        except RefusedError as refusal:
            return 1, "", f"ERROR: {refusal}\n"
        return 2, "", f"unknown command: {' '.join(command)}\n"

    def _cluster(self, name: str) -> None:
        if f"kind-{name}" not in self.world.contexts:
            raise RefusedError(f'no nodes found for cluster "{name}"')

    def _build(self, name: str, context: Path) -> str:
        if not (context / "Dockerfile").exists():
            raise RefusedError("failed to read dockerfile: open Dockerfile: no such file")
        with self.journal.record("build", built(name)):
            for fault in self.faults:
                if fault.strikes(BUILD):
                    raise RefusedError(fault.message)
            image, _, tag = name.rpartition(":")
            self.world.images.setdefault(image, {})[tag] = name
        return f"naming to {name} done\n"

    def _load(self, name: str) -> None:
        image, _, tag = name.rpartition(":")
        if tag not in self.world.images.get(image, {}):
            raise RefusedError(f'image: "{name}" not present locally')
        self.world.node_images.add(name)
