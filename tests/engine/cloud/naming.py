"""Generated names, as the real providers make them."""

import hashlib

from .wire import Inputs

AUTO_NAMED = "pulumi.com/autonamed"


def google_name(property: str, logical: str, seed: bytes, olds: Inputs, news: Inputs) -> Inputs:
    """Give a Google resource its logical name and seven digits, or keep what it was given."""
    if property in news:
        return news
    kept = olds.get(property) if property in olds.get("__defaults", []) else None
    name = kept or f"{logical}-{_digits(seed, 7)}"
    return {**news, property: name, "__defaults": [property]}


def kubernetes_name(logical: str, seed: bytes, olds: Inputs, news: Inputs) -> Inputs:
    """Give a Kubernetes object its logical name and eight digits, and say so in an annotation."""
    metadata = dict(news.get("metadata") or {})
    if metadata.get("name") or metadata.get("generateName"):
        return news
    old = olds.get("metadata") or {}
    was_generated = AUTO_NAMED in (old.get("annotations") or {})
    metadata["name"] = old["name"] if was_generated else f"{logical}-{_digits(seed, 8)}"
    metadata["annotations"] = {**(metadata.get("annotations") or {}), AUTO_NAMED: "true"}
    return {**news, "metadata": metadata}


def _digits(seed: bytes, count: int) -> str:
    return hashlib.sha256(seed).hexdigest()[:count]
