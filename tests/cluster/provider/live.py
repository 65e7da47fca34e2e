"""What is there, seen with a program's eyes: only what it said itself, in the form it said it."""

import base64
from typing import Any

from tests.engine.cloud.wire import UNKNOWN, secret

from .manifest import Manifest

MANAGER = "__fieldManager"
"""Where the provider keeps, in the state, the name under which it applied an object."""


def normalized(manifest: Manifest) -> Manifest:
    """As the server would write it down."""
    plain = {k: v for k, v in manifest.items() if k != "status" and not k.startswith("__")}
    if (plain.get("apiVersion"), plain.get("kind")) == ("v1", "Secret"):
        written = {key: _encoded(text) for key, text in (plain.pop("stringData", {}) or {}).items()}
        if written:
            plain["data"] = {**(plain.get("data") or {}), **written}
    return plain


def pruned(live: Any, wanted: Any) -> Any:
    """Leave out what a program did not speak of, but keep how the rest has changed."""
    if isinstance(live, dict) and isinstance(wanted, dict):
        return {key: pruned(live[key], wanted[key]) for key in live if key in wanted}
    if isinstance(live, list) and isinstance(wanted, list):
        kept = [pruned(*pair) for pair in zip(live, wanted, strict=False)]
        return kept + live[len(kept) :]
    return live


def checkpoint(live: Manifest, manager: str) -> Manifest:
    """The object as it goes into the state."""
    metadata = {k: v for k, v in live["metadata"].items() if k != "managedFields"}
    return covered({**live, "metadata": metadata, MANAGER: manager})


def covered(manifest: Manifest) -> Manifest:
    """Mark what the engine must encrypt; by itself it knows only what the program marked."""
    if (manifest["apiVersion"], manifest["kind"]) == ("v1", "Secret") and "data" in manifest:
        return {**manifest, "data": secret(manifest["data"])}
    return manifest


def _encoded(text: str) -> str:
    return text if text == UNKNOWN else base64.b64encode(text.encode()).decode()
