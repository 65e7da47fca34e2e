"""The first user of a server that people log in to, and the key that its pages are signed with."""

from dataclasses import dataclass

import pulumi
import pulumi_random as random
from pulumi import Output, ResourceOptions


@dataclass(frozen=True, kw_only=True)
class LoginArgs:
    """Wiring of a login."""

    protect: bool
    """Whether the password refuses to be deleted."""


class Login(pulumi.ComponentResource):
    """Two values that nobody has thought of, the same for every replica and every update."""

    password: Output[str]
    """Secret. The admin's, until that is changed at the server itself."""
    key: Output[str]
    """Secret."""

    def __init__(self, name: str, args: LoginArgs, opts: ResourceOptions | None = None):
        super().__init__("mlflow-platform:kubernetes:Login", name, None, opts)
        child = ResourceOptions(parent=self)

        self.password = random.RandomPassword(
            f"{name}-admin",
            length=32,
            special=False,  # people type it
            # The server keeps the admin that it has: another password would open nothing.
            opts=ResourceOptions(parent=self, protect=args.protect),
        ).result
        self.key = random.RandomPassword(f"{name}-key", length=64, special=False, opts=child).result
        self.register_outputs({})
