"""Recorded Kubernetes objects against the schemas that Kubernetes publishes."""

import kubernetes_validate

VERSION = "1.34"


def invalid(record):
    """What the API server would find wrong with the objects of a record; unknown keys included."""
    problems = {}
    for resource in record.resources:
        if resource.type.startswith("kubernetes:"):
            try:
                kubernetes_validate.validate(resource.inputs, VERSION, strict=True)
            except kubernetes_validate.ValidationError as error:
                problems[resource.name, resource.type] = error.message
    return problems
