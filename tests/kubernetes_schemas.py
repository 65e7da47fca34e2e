"""The schemas that Kubernetes publishes, for the objects that we render."""

from functools import cache
from typing import Any

import kubernetes_validate
from kubernetes_validate import ValidationError, utils

__all__ = ["ValidationError", "validate"]

VERSION = "1.34"

# The package reads megabytes of definitions again for each object.
utils.schema_contents = cache(utils.schema_contents)


def validate(document: dict[str, Any]) -> None:
    """Raise `ValidationError` for what the API server would refuse; unknown keys included."""
    kubernetes_validate.validate(document, VERSION, strict=True)
