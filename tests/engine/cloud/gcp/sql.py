"""Cloud SQL."""

import json

from ..kind import Kind
from ..kind import replaced_by as replaced
from ..refusal import RefusedError, google
from ..thing import Thing
from ..wire import Inputs, at
from ..world import Visit, World
from . import compute, servicenetworking
from .iam import need_account
from .place import address, digits, link, project

INSTANCE, NETWORK_OF_INSTANCE = servicenetworking.INSTANCE, servicenetworking.NETWORK_OF_INSTANCE
DATABASE = "gcp:sql/database:Database"
USER = "gcp:sql/user:User"
API = "sqladmin.googleapis.com"


def _instance(world: World, inputs: Inputs) -> Inputs:
    name, where = inputs["name"], project(world, inputs)
    private = address(digits(name))
    network = at(inputs, NETWORK_OF_INSTANCE)
    return {
        "project": where,
        "connectionName": f"{where}:{inputs['region']}:{name}",
        "selfLink": link("sql", f"projects/{where}/instances/{name}"),
        "serviceAccountEmailAddress": f"p{world.number}-{digits(name, 6)}@"
        "gcp-sa-cloud-sql.iam.gserviceaccount.com",
        **(
            {
                "privateIpAddress": private,
                "firstIpAddress": private,
                "ipAddresses": [{"ipAddress": private, "type": "PRIVATE"}],
            }
            if network
            else {}
        ),
    }


def _admit_instance(visit: Visit) -> None:
    world, inputs = visit.world, visit.inputs
    version = int(str(inputs["databaseVersion"]).removeprefix("POSTGRES_"))
    edition = at(inputs, "settings.edition") or (
        "ENTERPRISE_PLUS" if version >= 16 else "ENTERPRISE"
    )
    tier = inputs["settings"]["tier"]
    if (edition == "ENTERPRISE_PLUS") != tier.startswith("db-perf-optimized-"):
        raise google(400, f"Invalid Tier ({tier}) for ({edition}) Edition., invalid")
    if ("instance", inputs["name"]) in world.retired:
        raise google(
            409,
            "The Cloud SQL instance already exists. When you delete an instance, you can't "
            "reuse the name of the deleted instance until one week from the deletion date., "
            "instanceAlreadyExists",
        )
    backups = at(inputs, "settings.backupConfiguration") or {}
    if at(inputs, "settings.availabilityType") == "REGIONAL" and not (
        backups.get("enabled") and backups.get("pointInTimeRecoveryEnabled")
    ):
        raise google(400, "A regional instance needs backups and point-in-time recovery., invalid")
    reference = at(inputs, NETWORK_OF_INSTANCE)
    if reference:
        network = visit.need(compute.NETWORK, reference)
        connections = [
            c for c in world.users(servicenetworking.CONNECTION, "network", network) if c.usable
        ]
        if not connections:
            raise google(
                400,
                "Failed to create subnetwork. Couldn't find free blocks in allocated IP ranges: "
                f"the network '{network.id}' is not connected to Google's services "
                "(SERVICE_NETWORKING_NOT_ENABLED)., invalid",
            )
        visit.note(*connections)


def _uses_network(world: World, instance: Thing) -> None:
    network = world.find(compute.NETWORK, at(instance.inputs, NETWORK_OF_INSTANCE))
    if network:
        world.networks_of_instances.add(network.id)


def _instance_is_protected(world: World, instance: Thing) -> None:
    # Absent means true: the provider's own default.
    if instance.inputs.get("deletionProtection", True):
        raise RefusedError(
            "Error, failed to delete instance because deletion_protection is set to true. "
            "Set it to false to proceed with instance deletion"
        )
    if at(instance.inputs, "settings.deletionProtectionEnabled"):
        raise google(
            400,
            "The instance is protected. Please disable the deletion protection and try again., "
            "deletionProtectionEnabled",
        )


def _retire(world: World, instance: Thing) -> None:
    world.retired.add(("instance", instance.inputs["name"]))


def _admit_user(visit: Visit) -> None:
    if visit.inputs.get("type") == "CLOUD_IAM_SERVICE_ACCOUNT":
        instance = visit.need(INSTANCE, visit.inputs["instance"])
        flags = at(instance.inputs, "settings.databaseFlags") or []
        if {"name": "cloudsql.iam_authentication", "value": "on"} not in flags:
            raise google(400, "IAM authentication is not enabled for the instance., invalid")
        need_account(visit, f"{visit.inputs['name']}.gserviceaccount.com")


def _user_owns_tables(world: World, user: Thing) -> None:
    """A role cannot be dropped while a database that it filled is there."""
    if user.inputs.get("type"):
        return
    databases = [d for d in world.of(DATABASE) if d.inputs["instance"] == user.inputs["instance"]]
    instance = world.find(INSTANCE, user.inputs["instance"])
    if databases and instance and instance.id in world.migrated:
        raise google(
            400,
            f'role "{user.inputs["name"]}" cannot be dropped because some objects depend on it, '
            "invalid",
        )


def _database_has_sessions(world: World, database: Thing) -> None:
    instance = world.find(INSTANCE, database.inputs["instance"])
    if instance is None:
        return
    sessions = [
        workload.id
        for workload in world.of("kubernetes:apps/v1:Deployment")
        if instance.outputs["connectionName"] in json.dumps(workload.inputs)
    ]
    if sessions:
        raise google(
            400,
            f'database "{database.inputs["name"]}" is being accessed by other users '
            f"({', '.join(sessions)})., invalid",
        )


KINDS = (
    Kind(
        token=INSTANCE,
        id=lambda world, i: str(i["name"]),
        seconds=600,  # 6 to 12 minutes with a private address
        seconds_to_update=300,  # a change of tier restarts it
        seconds_to_delete=60,
        api=API,
        replaced_by=replaced(
            "name",
            "region",
            "masterInstanceName",
            "encryptionKeyName",
            "clone",
            "settings.collation",
            "settings.timeZone",
            "settings.diskType",
        ),
        references={NETWORK_OF_INSTANCE: compute.NETWORK},
        computed=_instance,
        admit=_admit_instance,
        created=_uses_network,
        release=_instance_is_protected,
        deleted=_retire,
    ),
    Kind(
        token=DATABASE,
        id=lambda world, i: (
            f"projects/{project(world, i)}/instances/{i['instance']}/databases/{i['name']}"
        ),
        seconds=5,  # one operation on the instance
        api=API,
        replaced_by=replaced("name", "instance"),
        references={"instance": INSTANCE},
        part_of="instance",
        computed=lambda world, i: {"project": project(world, i)},
        release=_database_has_sessions,
    ),
    Kind(
        token=USER,
        id=lambda world, i: f"{i['name']}//{i['instance']}",
        seconds=5,  # one operation on the instance
        api=API,
        replaced_by=replaced("name", "instance", "host", "type"),
        references={"instance": INSTANCE},
        part_of="instance",
        adopts=True,  # users.insert sets the password of a user that is there
        computed=lambda world, i: {"project": project(world, i)},
        admit=_admit_user,
        release=_user_owns_tables,
    ),
)
