"""The schemas that Kubernetes publishes, and Google's, for the objects that we render."""

from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml
from jsonschema import ValidationError
from kubernetes_validate import utils

__all__ = ["GOOGLES", "ValidationError", "validate"]

VERSION = "1.34"

GOOGLES = Path(__file__).with_name("podmonitorings.yaml")
"""A kind of object that GKE's clusters have."""

# The package reads megabytes of definitions again for each object.
utils.schema_contents = cache(utils.schema_contents)


def validate(document: dict[str, Any]) -> None:
    """Raise `ValidationError` for what the API server would refuse; unknown keys included."""
    if document["apiVersion"].startswith("monitoring.googleapis.com/"):
        jsonschema.validate(document, _googles())
    else:
        kubernetes_validate.validate(document, VERSION, strict=True)


@cache
def _googles() -> Any:
    (version,) = yaml.safe_load(GOOGLES.read_text())["spec"]["versions"]
    return _closed(version["schema"]["openAPIV3Schema"])


def _closed(schema: Any) -> Any:
    """The schema, which refuses what it does not name."""
    properties = {name: _closed(each) for name, each in schema.get("properties", {}).items()}
    closed = {"additionalProperties": False, "properties": properties} if properties else {}
    items = {"items": _closed(schema["items"])} if "items" in schema else {}
    return {**schema, **closed, **items}
