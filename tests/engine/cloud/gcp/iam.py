"""Service accounts and grants on them and on the project."""

import re

from ..kind import Kind
from ..kind import replaced_by as replaced
from ..refusal import google
from ..wire import Inputs
from ..world import Visit, World
from .place import digits, project

ACCOUNT = "gcp:serviceaccount/account:Account"
ACCOUNT_MEMBER = "gcp:serviceaccount/iAMMember:IAMMember"
CUSTOM_ROLE = "gcp:projects/iAMCustomRole:IAMCustomRole"
PROJECT_MEMBER = "gcp:projects/iAMMember:IAMMember"

# One read, change, write of a whole policy, repeated when another writer was quicker.
GRANT_SECONDS = 8

ACCOUNT_ID = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]")
WORKLOAD = re.compile(r"serviceAccount:(?P<pool>[^\[]+\.svc\.id\.goog)\[")


def admit_member(visit: Visit) -> None:
    """Refuse a grant to somebody who does not exist, as setIamPolicy does."""
    member = str(visit.inputs["member"])
    if workload := WORKLOAD.match(member):
        need_workload_pool(visit, workload["pool"])
    elif member.startswith("principal") and ".svc.id.goog/" in member:
        need_workload_pool(visit, member.split("/workloadIdentityPools/")[1].split("/")[0])
    elif member.startswith("serviceAccount:"):
        need_account(visit, member.removeprefix("serviceAccount:"))


def need_account(visit: Visit, email: str) -> None:
    """Refuse unless the account exists in this project."""
    account = visit.world.find(ACCOUNT, email)
    if account is None:
        raise google(400, f"Service account {email} does not exist., badRequest")
    visit.note(account)


def need_workload_pool(visit: Visit, pool: str) -> None:
    """Refuse unless a cluster with Workload Identity has brought the project's pool about."""
    if pool not in visit.world.workload_pools:
        raise google(400, f"Identity Pool does not exist ({pool}). Please check., badRequest")
    visit.note(
        *[
            cluster
            for cluster in visit.world.of("gcp:container/cluster:Cluster")
            if cluster.usable and cluster.inputs.get("workloadIdentityConfig")
        ][:1]
    )


def grant(token: str, on: str, references: dict[str, str], api: str) -> Kind:
    """Describe an additive grant on one resource."""

    def id(world: World, inputs: Inputs) -> str:
        where = inputs.get(on) or world.project
        condition = (inputs.get("condition") or {}).get("title", "")
        return "/".join(filter(None, [where, inputs["role"], inputs["member"], condition]))

    return Kind(
        token=token,
        id=id,
        seconds=GRANT_SECONDS,
        api=api,
        replaced_by=replaced(on, "role", "member", "condition", "location", "region"),
        references=references,
        part_of=on,
        computed=lambda world, inputs: {"etag": digits(id(world, inputs))},
        admit=admit_member,
        auto_name=None,
    )


def _email(world: World, inputs: Inputs) -> str:
    return f"{inputs['accountId']}@{project(world, inputs)}.iam.gserviceaccount.com"


def _account(world: World, inputs: Inputs) -> Inputs:
    email = _email(world, inputs)
    return {
        "email": email,
        "member": f"serviceAccount:{email}",
        "name": _account_name(world, inputs),
        "project": project(world, inputs),
        "uniqueId": str(int(digits(email, 15), 16)),
    }


def _account_id(visit: Visit) -> None:
    if not ACCOUNT_ID.fullmatch(visit.inputs["accountId"]):
        raise google(400, f"Invalid account id {visit.inputs['accountId']!r}, badRequest")


def _account_name(world: World, inputs: Inputs) -> str:
    return f"projects/{project(world, inputs)}/serviceAccounts/{_email(world, inputs)}"


def _role(world: World, inputs: Inputs) -> Inputs:
    return {
        "project": project(world, inputs),
        "name": f"projects/{project(world, inputs)}/roles/{inputs['roleId']}",
        "deleted": False,
    }


KINDS = (
    Kind(
        token=ACCOUNT,
        id=_account_name,
        seconds=8,  # the provider reads until the new account is seen
        api="iam.googleapis.com",
        replaced_by=replaced("accountId"),
        computed=_account,
        admit=_account_id,
        auto_name=None,
    ),
    Kind(
        token=CUSTOM_ROLE,
        id=lambda world, i: f"projects/{project(world, i)}/roles/{i['roleId']}",
        seconds=3,  # answers at once
        api="iam.googleapis.com",
        replaced_by=replaced("roleId"),
        computed=_role,
        auto_name=None,
    ),
    grant(ACCOUNT_MEMBER, "serviceAccountId", {"serviceAccountId": ACCOUNT}, "iam.googleapis.com"),
    grant(PROJECT_MEMBER, "project", {}, "cloudresourcemanager.googleapis.com"),
)
