"""A value that is not given out before other resources exist."""

from typing import TypeVar

from pulumi import Input, Output, Resource

T = TypeVar("T")


def after(value: Input[T], *resources: Resource) -> Output[T]:
    """The value, once the resources exist; whoever takes it waits for them and for nothing else.

    It carries a fact that no property of the resources does, such as "may now be used".
    """
    ready = Output.all(*[resource.urn for resource in resources])
    return Output.all(value, ready).apply(lambda both: both[0])
