"""The Google APIs that a stack uses."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp
from pulumi import Output, ResourceOptions

from .after import after
from .site import Site

Apis = Mapping[str, Output[str]]
"""Project id by API (`sqladmin`), each given out as soon as that API answers.

Passed as a resource's `project`, it makes the resource wait for its own API and for no other.
"""


@dataclass(frozen=True, kw_only=True)
class ServicesArgs:
    """What to enable."""

    site: Site
    apis: tuple[str, ...]
    """Names without `.googleapis.com`."""


class Services(pulumi.ComponentResource):
    """APIs, enabled and left enabled: other software in the project may use them too."""

    enabled: Apis

    def __init__(self, name: str, args: ServicesArgs, opts: ResourceOptions | None = None):
        super().__init__("mlflow-platform:gcp:Services", name, None, opts)
        self.enabled = {
            api: after(
                args.site.project,
                gcp.projects.Service(
                    f"{name}-{api}",
                    project=args.site.project,
                    service=f"{api}.googleapis.com",
                    disable_on_destroy=False,
                    opts=ResourceOptions(parent=self),
                ),
            )
            for api in args.apis
        }
        self.register_outputs({})
