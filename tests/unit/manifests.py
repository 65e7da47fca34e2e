"""Recorded Kubernetes objects against the schemas that Kubernetes publishes."""

from tests import kubernetes_schemas


def invalid(record):
    """What the API server would find wrong with the objects of a record; unknown keys included."""
    problems = {}
    for resource in record.resources:
        if resource.type.startswith("kubernetes:"):
            try:
                kubernetes_schemas.validate(resource.inputs)
            except kubernetes_schemas.ValidationError as error:
                problems[resource.name, resource.type] = error.message
    return problems
