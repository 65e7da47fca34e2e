"""Whether this machine's MLflow goes with the server's."""

from importlib import metadata


def client() -> str:
    """MLflow's version here."""
    return metadata.version("mlflow-skinny")


def verdict(client: str, server: str) -> str:
    """Say in one line whether they fit, and which side to change.

    MLflow has no check of its own; a newer client calls what an older server does not have.
    """
    both = f"MLflow {client} here, {server} on the server"
    here, there = _release(client), _release(server)
    if here == there:
        return f"{both}: they fit"
    if here > there:
        return f"{both}: change this side, with: pip install mlflow=={server}"
    return f"{both}: works, without what is new; to have it: pip install mlflow=={server}"


def _release(version: str) -> tuple[int, int]:
    major, minor, *_ = version.split(".")
    return int(major), int(minor)
