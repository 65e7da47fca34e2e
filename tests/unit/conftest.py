"""Run a component, or the whole program, against a recording engine and hand back the record."""

import functools
import json
import os
import runpy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import pulumi_random as random
import pytest
import yaml
from pulumi.runtime import mocks, proto, resource, rpc
from pulumi.runtime.settings import get_root_resource, set_root_resource
from pulumi.runtime.stack import Stack

import config
import platforms
from components.identities import Identity
from components.services import Apis, Services, ServicesArgs
from components.site import Site

os.environ["PULUMI_ERROR_OUTPUT_STRING"] = "1"  # an f-string over an Output raises

# In which line a resource is made takes a fifth of the time, and the mock engine tells nobody.
vars(resource)["_get_stack_trace"] = proto.source_pb2.StackTrace

ROOT = Path(__file__).parents[2]
PROJECT = "mlflow-platform"
PASSWORD = "canary-password"
"""What every password that a test deployment generates begins with."""


def _config(path: Path) -> dict[str, Any]:
    return (yaml.safe_load(path.read_text()) or {}).get("config", {})


PLATFORM_OF = {
    path.name.removeprefix("Pulumi.").removesuffix(".yaml"): _config(path)[f"{PROJECT}:platform"]
    for path in sorted(ROOT.glob("Pulumi.*.yaml"))
}

STACKS = [stack for stack, platform in PLATFORM_OF.items() if platform != "local"]
"""Committed stacks in clusters; the local one starts real processes and has its own tier."""

LEFT_TO_USERS = {"gke": {f"{PROJECT}:project": "a-project"}, "kubernetes": {}}
"""What a committed stack file cannot know, by platform."""

# What the cloud would compute; one entry per output that some component reads.
COMPUTED: dict[str, Callable[[mocks.MockResourceArgs], dict[str, Any]]] = {
    "gcp:artifactregistry/repository:Repository": lambda a: {
        "name": a.inputs["repositoryId"],
        "registryUri": f"{a.inputs['location']}-docker.pkg.dev/p/{a.inputs['repositoryId']}",
    },
    "gcp:compute/network:Network": lambda a: {"selfLink": f"https://compute/networks/{a.name}"},
    "gcp:compute/subnetwork:Subnetwork": lambda a: {
        "selfLink": f"https://compute/subnets/{a.name}"
    },
    "gcp:container/cluster:Cluster": lambda a: {
        "endpoint": "10.9.8.2",
        "controlPlaneEndpointsConfig": {
            **a.inputs["controlPlaneEndpointsConfig"],
            "dnsEndpointConfig": {
                **a.inputs["controlPlaneEndpointsConfig"]["dnsEndpointConfig"],
                "endpoint": "gke-123.europe-west4.gke.goog",
            },
        },
    },
    "gcp:projects/iAMCustomRole:IAMCustomRole": lambda a: {
        "name": f"projects/{a.inputs['project']}/roles/{a.inputs['roleId']}"
    },
    "gcp:serviceaccount/account:Account": lambda a: {
        "email": f"{a.inputs['accountId']}@{a.inputs['project']}.iam.gserviceaccount.com",
        "member": "serviceAccount:"
        f"{a.inputs['accountId']}@{a.inputs['project']}.iam.gserviceaccount.com",
        "name": f"projects/{a.inputs['project']}/serviceAccounts/{a.inputs['accountId']}",
    },
    "gcp:sql/databaseInstance:DatabaseInstance": lambda a: {
        "connectionName": f"{a.inputs['project']}:{a.inputs['region']}:{a.name}-1a2b3c4",
        "name": f"{a.name}-1a2b3c4",
    },
    "gcp:storage/bucket:Bucket": lambda a: {
        "name": a.inputs.get("name", f"{a.name}-1a2b3c4"),
        "url": f"gs://{a.inputs.get('name', a.name + '-1a2b3c4')}",
    },
    "pulumi-python:dynamic/images:Image": lambda a: {
        "reference": f"{a.inputs['image']}@sha256:{'0' * 64}"
    },
    "random:index/randomId:RandomId": lambda a: {"hex": f"{a.inputs.get('prefix', '')}1a2b3c4d"},
    "random:index/randomPassword:RandomPassword": lambda a: {
        "result": pulumi.Output.secret(f"{PASSWORD}-{a.name}")
    },
}


@dataclass(frozen=True)
class Recorded:
    """One resource as it reached the engine."""

    urn: str
    type: str
    name: str
    inputs: dict[str, Any]
    provider: str
    """Reference of the explicit provider, empty for the default one."""
    needs: frozenset[str]
    """URNs that the engine finishes first and deletes last: dependencies and the parent."""
    options: proto.resource_pb2.RegisterResourceRequest
    """Protection, ignored changes, timeouts … as the engine is told them."""


@dataclass
class Record:
    """Everything that a program asked the engine for, in order."""

    resources: list[Recorded] = field(default_factory=list)
    exports: frozenset[str] = frozenset()
    """Names of the stack's outputs."""
    outputs: dict[str, Any] = field(default_factory=dict)
    """Those outputs whose value is known: all of an update, some of a preview."""
    preview: bool = False
    stack: str = "dev"

    def all(self, type: str) -> list[Recorded]:
        return [r for r in self.resources if r.type == type]

    def one(self, type: str, name: str | None = None) -> Recorded:
        found = [r for r in self.all(type) if name in (None, r.name)]
        assert len(found) == 1, f"{type} {name or ''}: {[r.name for r in self.all(type)]}"
        return found[0]

    def before(self, resource: Recorded) -> set[str]:
        """URNs of everything that must be finished before this resource starts."""
        direct = {r.urn: r.needs for r in self.resources}
        seen: set[str] = set()
        left = [resource.urn]
        while left:
            for urn in direct.get(left.pop(), frozenset()) - seen:
                seen.add(urn)
                left.append(urn)
        return seen

    def waits_for(self, later: Recorded, earlier: Recorded) -> bool:
        return earlier.urn in self.before(later)


def plain(value: Any) -> Any:
    """A value without its marks of secrecy, all the way down."""
    value = rpc.unwrap_rpc_secret(value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


class Cloud(mocks.Mocks):
    """Accept every resource and compute what the cloud would; nothing may ask it questions."""

    def __init__(self, preview: bool) -> None:
        self.preview = preview

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        if self.preview:  # as the engine: inputs are known, what the cloud computes is not
            return "", args.inputs
        computed = COMPUTED.get(args.typ, lambda _: {})(
            mocks.MockResourceArgs(args.typ, args.name, plain(args.inputs))
        )
        if args.typ.startswith("kubernetes:"):  # nothing in a cluster is without a name
            named = {"name": f"{args.name}-1a2b3c4", **args.inputs.get("metadata", {})}
            computed = {"metadata": named, **computed}
        return f"{args.name}-id", {"name": args.name, **args.inputs, **computed}

    def call(self, args: mocks.MockCallArgs) -> dict[str, Any]:
        raise AssertionError(f"unexpected provider call {args.token}")


class Engine(mocks.MockMonitor):
    """The mock engine, remembering the options that `Mocks` never sees."""

    def __init__(self, record: Record) -> None:
        super().__init__(Cloud(record.preview))
        self.record = record

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802
        response = super().RegisterResource(request)
        if request.type != "pulumi:pulumi:Stack":
            self.record.resources.append(
                Recorded(
                    urn=response.urn,
                    type=request.type,
                    name=request.name,
                    inputs=plain(rpc.deserialize_properties(request.object)),
                    provider=request.provider,
                    needs=frozenset([request.parent, *request.dependencies]) - {""},
                    options=request,
                )
            )
        return response


def run(build: Callable[[], object], *, stack: str = "dev", preview: bool = False) -> Record:
    record = Record(preview=preview, stack=stack)
    set_root_resource(None)  # type: ignore[arg-type]  # else outputs of the last test stay
    pulumi.runtime.set_mocks(
        Cloud(preview), project=PROJECT, stack=stack, preview=preview, monitor=Engine(record)
    )

    def program() -> None:
        build()
        stack = get_root_resource()
        assert isinstance(stack, Stack)
        record.exports = frozenset(stack.outputs)
        for name, value in stack.outputs.items():
            pulumi.Output.from_input(value).apply(
                lambda known, name=name: record.outputs.update({name: known})
            )

    pulumi.runtime.test(program)()
    return record


@pytest.fixture(scope="session")
def deploy() -> Callable[..., Record]:
    """Build under the engine's event loop, wait for every registration, hand back the record."""
    return run


@functools.cache
def whole(stack: str, preview: bool) -> Record:
    """The whole program, as the committed stack file would run it."""

    def build() -> None:
        pulumi.runtime.set_all_config(
            {
                key: value if isinstance(value, str) else json.dumps(value)
                for key, value in {
                    **LEFT_TO_USERS[PLATFORM_OF[stack]],
                    **_config(ROOT / f"Pulumi.{stack}.yaml"),
                }.items()
            }
        )
        runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__")

    return run(build, stack=stack, preview=preview)


@pytest.fixture(
    scope="session",
    params=[(stack, preview) for stack in STACKS for preview in (True, False)],
    ids=lambda p: f"{p[0]}-{'preview' if p[1] else 'update'}",
)
def program(request: pytest.FixtureRequest) -> Record:
    """Each committed stack, previewed and applied."""
    return whole(*request.param)


def only(platform: str) -> Callable[[Callable[..., Any]], Any]:
    """A fixture's `program`: the committed stacks of one platform, previewed and applied."""
    return pytest.fixture(
        scope="session",
        params=[(s, p) for s in STACKS if PLATFORM_OF[s] == platform for p in (True, False)],
        ids=lambda p: f"{p[0]}-{'preview' if p[1] else 'update'}",
    )


def deployed(name: str, stack: str = "dev", **changes: Any) -> Record:
    """A valid stack file as a whole program; `changes` replace whole keys."""
    keys = _config(ROOT / f"tests/unit/stacks/valid/{name}.yaml")
    keys |= {f"{PROJECT}:{key}": value for key, value in changes.items()}

    def build() -> None:
        pulumi.runtime.set_all_config(
            {key: v if isinstance(v, str) else json.dumps(v) for key, v in keys.items()}
        )
        platform = platforms.choose(config.platform())
        platform.deploy(config.load(platform.Stack)).export()

    return run(build, stack=stack)


@only("gke")
def on_google(request: pytest.FixtureRequest) -> Record:
    """Each committed stack on Google Cloud, previewed and applied."""
    return whole(*request.param)


@only("kubernetes")
def in_any_cluster(request: pytest.FixtureRequest) -> Record:
    """Each committed stack on other clusters, previewed and applied."""
    return whole(*request.param)


@pytest.fixture(scope="session", params=STACKS)
def both(request: pytest.FixtureRequest) -> tuple[Record, Record]:
    """The preview and the update of each committed stack."""
    return whole(request.param, True), whole(request.param, False)


@pytest.fixture
def site() -> Site:
    """Where the components of a test live."""
    return Site(
        project="proj",
        region="europe-west4",
        zones=("europe-west4-b", "europe-west4-a", "europe-west4-c"),
        name="mlflow-dev",
        labels={"app": "mlflow", "stack": "dev", "managed-by": "pulumi"},
        protect=False,
    )


@pytest.fixture
def apis(site: Site) -> Callable[[], Apis]:
    """Enable every API that some component uses; call it inside of a build."""
    names = ("cloudresourcemanager", "compute", "container", "iam", "servicenetworking")
    args = ServicesArgs(site=site, apis=(*names, "sqladmin", "storage"))
    return lambda: Services("apis", args).enabled


@pytest.fixture
def identity() -> Callable[[str], Identity]:
    """A Google account that has all its rights already."""

    def account(job: str) -> Identity:
        email = f"mlflow-dev-{job}@proj.iam.gserviceaccount.com"
        return Identity(
            id=pulumi.Output.from_input(f"projects/proj/serviceAccounts/{email}"),
            email=pulumi.Output.from_input(email),
            member=pulumi.Output.from_input(f"serviceAccount:{email}"),
        )

    return account


class Taker:
    """A resource that does nothing but take an output, to see what it then waits for."""

    type = "random:index/randomId:RandomId"

    def __call__(self, name: str, value: pulumi.Input[str]) -> None:
        random.RandomId(name, byte_length=1, keepers={"value": value})


@pytest.fixture
def taker() -> Taker:
    return Taker()
