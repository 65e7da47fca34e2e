from dataclasses import replace

import pulumi
import pytest

from components.database import (
    BackupSettings,
    Database,
    DatabaseArgs,
    DatabaseMaintenanceSettings,
    DatabaseSettings,
)
from settings import Refused

INSTANCE = "gcp:sql/databaseInstance:DatabaseInstance"
DATABASE = "gcp:sql/database:Database"
USER = "gcp:sql/user:User"
GRANT = "gcp:projects/iAMMember:IAMMember"
ROLE = "gcp:projects/iAMCustomRole:IAMCustomRole"
PASSWORD = "canary-password"


@pytest.fixture
def database(site, apis, identity):
    def build(*, protect=False, **chosen):
        return Database(
            "mlflow-dev",
            DatabaseArgs(
                site=replace(site, protect=protect),
                apis=apis(),
                settings=DatabaseSettings(**chosen),
                network="projects/proj/global/networks/n",
                server=identity("tracking"),
                migration=identity("migration"),
            ),
        )

    return build


@pytest.fixture
def settings(deploy, database):
    return lambda **chosen: deploy(lambda: database(**chosen)).one(INSTANCE).inputs["settings"]


@pytest.fixture
def outputs(deploy, database):
    """What the component hands out, and which of it is secret."""

    def exported(**chosen):
        secret = {}

        def build():
            built = database(**chosen)
            for key in ("owner_url", "runtime_url", "runtime_role", "connection_name"):
                value = getattr(built, key)
                pulumi.export(key, value)
                pulumi.Output.from_input(value.is_secret()).apply(
                    lambda is_secret, key=key: secret.update({key: is_secret})
                )

        return deploy(build).outputs, secret

    return exported


def test_the_instance_has_no_public_address_and_takes_no_plain_or_direct_connections(settings):
    chosen = settings()

    assert chosen["ipConfiguration"] == {
        "ipv4Enabled": False,
        "privateNetwork": "projects/proj/global/networks/n",
        "sslMode": "ENCRYPTED_ONLY",
    }
    assert chosen["connectorEnforcement"] == "REQUIRED"


def test_the_edition_is_always_said(settings):
    """Left out, Google takes ENTERPRISE_PLUS from Postgres 16 on and refuses every small tier."""
    assert settings(tier="db-f1-micro")["edition"] == "ENTERPRISE"


def test_an_instance_takes_a_generated_name(deploy, database):
    assert "name" not in deploy(database).one(INSTANCE).inputs


def test_any_moment_of_the_last_days_can_be_restored(settings):
    chosen = settings(backups=BackupSettings(hour=1, retained=30, log_days=5, location="eu"))

    assert chosen["backupConfiguration"] == {
        "enabled": True,
        "startTime": "01:00",
        "location": "eu",
        "backupRetentionSettings": {"retainedBackups": 30},
        "pointInTimeRecoveryEnabled": True,
        "transactionLogRetentionDays": 5,
    }


def test_a_last_backup_outlives_the_instance_where_the_stack_says_so(settings):
    assert settings()["finalBackupConfig"] == {"enabled": False}
    assert settings(backups=BackupSettings(final_days=30))["finalBackupConfig"] == {
        "enabled": True,
        "retentionDays": 30,
    }


def test_updates_come_in_the_window(settings):
    window = DatabaseMaintenanceSettings(day=6, hour=22, track="week5")

    assert settings(maintenance=window)["maintenanceWindow"] == {
        "day": 6,
        "hour": 22,
        "updateTrack": "week5",
    }


def test_slow_queries_can_be_looked_at(settings):
    assert settings()["insightsConfig"] == {"queryInsightsEnabled": True}


@pytest.mark.parametrize(
    ("availability", "kind", "zone"),
    [("zonal", "ZONAL", {"zone": "europe-west4-b"}), ("regional", "REGIONAL", None)],
)
def test_one_machine_is_beside_the_nodes_and_a_pair_is_where_google_puts_it(
    settings, availability, kind, zone
):
    chosen = settings(availability=availability)

    assert chosen["availabilityType"] == kind
    assert chosen.get("locationPreference") == zone


def test_the_disk_grows_and_pulumi_never_sets_it_back(deploy, database):
    instance = deploy(lambda: database(disk_gb=20, disk_limit_gb=500)).one(INSTANCE)
    chosen = instance.inputs["settings"]

    assert chosen["diskAutoresize"] is True
    assert (chosen["diskSize"], chosen["diskAutoresizeLimit"]) == (20, 500)
    assert list(instance.options.ignoreChanges) == ["settings.diskSize"]


@pytest.mark.parametrize("protect", [True, False])
def test_protection_arms_pulumi_the_provider_and_google(deploy, database, protect):
    instance = deploy(lambda: database(protect=protect)).one(INSTANCE)

    assert instance.options.protect is protect
    assert instance.inputs["deletionProtection"] is protect
    assert instance.inputs["settings"]["deletionProtectionEnabled"] is protect


def test_the_instance_says_how_many_connections_it_takes(settings):
    flags = {f["name"]: f["value"] for f in settings(max_connections=77)["databaseFlags"]}

    assert flags == {"cloudsql.iam_authentication": "on", "max_connections": "77"}


@pytest.mark.parametrize(
    ("tier", "accepted", "left"),
    [
        ("db-f1-micro", 25, 19),
        ("db-g1-small", 50, 44),
        ("db-custom-1-3840", 100, 94),
        ("db-custom-2-7680", 200, 194),
        ("db-custom-4-15360", 400, 394),
        ("db-custom-96-638976", 500, 494),
    ],
)
def test_larger_tiers_take_more_connections(tier, accepted, left):
    chosen = DatabaseSettings(tier=tier)

    assert (chosen.accepted_connections, chosen.connections) == (accepted, left)


def test_connections_can_be_chosen():
    assert DatabaseSettings(max_connections=120).connections == 114


def test_the_server_logs_in_as_its_account_without_a_password(deploy, database, outputs):
    user = deploy(database).one(USER, "mlflow-dev-server").inputs
    values, secret = outputs()

    assert user["type"] == "CLOUD_IAM_SERVICE_ACCOUNT"
    assert user["name"] == "mlflow-dev-tracking@proj.iam"
    assert "password" not in user
    assert values["runtime_role"] == user["name"]
    assert values["runtime_url"] == (
        "postgresql+psycopg2://mlflow-dev-tracking%40proj.iam@127.0.0.1:5432/mlflow"
    )
    assert secret["runtime_url"] is False


def test_the_schema_belongs_to_another_role_with_a_generated_password(deploy, database, outputs):
    user = deploy(database).one(USER, "mlflow-dev-owner").inputs
    values, secret = outputs()

    assert (user["name"], user["password"]) == ("mlflow_owner", f"{PASSWORD}-mlflow-dev-owner")
    assert values["owner_url"] == (
        f"postgresql+psycopg2://mlflow_owner:{PASSWORD}-mlflow-dev-owner@127.0.0.1:5432/mlflow"
    )
    assert secret["owner_url"] is True


def test_a_login_with_password_is_the_fallback(deploy, database, outputs):
    record = deploy(lambda: database(login="password"))
    values, secret = outputs(login="password")

    assert (
        record.one(USER, "mlflow-dev-server").inputs["password"] == f"{PASSWORD}-mlflow-dev-server"
    )
    assert values["runtime_role"] == "mlflow_server"
    assert values["runtime_url"] == (
        f"postgresql+psycopg2://mlflow_server:{PASSWORD}-mlflow-dev-server@127.0.0.1:5432/mlflow"
    )
    assert secret["runtime_url"] is True
    assert "roles/cloudsql.instanceUser" not in {g.inputs["role"] for g in record.all(GRANT)}


def test_rights_are_on_this_instance_only(deploy, database):
    record = deploy(database)
    rights = {
        (g.inputs["member"].partition("@")[0].removeprefix("serviceAccount:"), g.inputs["role"])
        for g in record.all(GRANT)
    }

    assert rights == {
        ("mlflow-dev-tracking", "roles/cloudsql.client"),
        ("mlflow-dev-tracking", "roles/cloudsql.instanceUser"),
        ("mlflow-dev-migration", "roles/cloudsql.client"),
        ("mlflow-dev-migration", "projects/proj/roles/mlflow_dev_backup_1a2b3c4d"),
    }
    for grant in record.all(GRANT):
        assert grant.inputs["condition"]["expression"] == (
            'resource.service == "sqladmin.googleapis.com" && '
            'resource.name.startsWith("projects/proj/instances/mlflow-dev-1a2b3c4")'
        )


def test_the_migration_may_back_up_and_not_restore_change_or_delete(deploy, database):
    role = deploy(database).one(ROLE).inputs

    assert set(role["permissions"]) == {
        "cloudsql.backupRuns.create",
        "cloudsql.backupRuns.get",
        "cloudsql.instances.get",
    }
    assert role["roleId"] == "mlflow_dev_backup_1a2b3c4d"  # Google takes no hyphens there


def test_pods_start_only_when_they_may_connect(deploy, database, taker):
    record = deploy(lambda: taker("pod", database().connection_name))

    for grant in record.all(GRANT):
        assert record.waits_for(record.one(taker.type, "pod"), grant), grant.name


def test_the_instance_takes_databases_and_roles_with_it(deploy, database):
    """One by one Google would refuse: somebody is connected, a role owns tables."""
    record = deploy(database)

    assert {r.inputs["deletionPolicy"] for r in record.all(USER) + record.all(DATABASE)} == {
        "ABANDON"
    }


@pytest.mark.parametrize(
    ("chosen", "key", "why", "cure"),
    [
        ({"tier": "db-n1-standard-1"}, "tier", "not a tier", "db-custom-1-3840"),
        ({"tier": "db-custom-3-8192"}, "tier", "CPUs that Cloud SQL", "db-custom-4-8192"),
        ({"tier": "db-custom-98-65536"}, "tier", "CPUs that Cloud SQL", "db-custom-96-88576"),
        ({"tier": "db-custom-2-4000"}, "tier", "memory than goes", "db-custom-2-4096"),
        ({"tier": "db-custom-2-1024"}, "tier", "memory than goes", "db-custom-2-3840"),
        ({"tier": "db-custom-1-8192"}, "tier", "memory than goes", "db-custom-1-6656"),
        ({"tier": "db-perf-optimized-N-2"}, "tier", "tier of ENTERPRISE_PLUS", "db-custom-1-3840"),
        (
            {"edition": "ENTERPRISE_PLUS", "tier": "db-custom-2-7680"},
            "tier",
            "not a tier of ENTERPRISE_PLUS",
            "db-perf-optimized-N-2",
        ),
        ({"disk_gb": 20, "disk_limit_gb": 15}, "diskLimitGb", "less than diskGb, 20", "20"),
        (
            {"backups": BackupSettings(log_days=8)},
            "backups.logDays",
            "more than ENTERPRISE keeps",
            "7",
        ),
        (
            {
                "availability": "regional",
                "backups": BackupSettings(point_in_time_recovery=False),
            },
            "availability",
            "a standby needs",
            "set backups.enabled and backups.pointInTimeRecovery to true",
        ),
    ],
)
def test_instances_that_cannot_exist_are_refused(chosen, key, why, cure):
    with pytest.raises(Refused, match=why) as refused:
        DatabaseSettings(**chosen)

    assert (refused.value.key, refused.value.cure) == (key, cure)


@pytest.mark.parametrize(
    "tier", ["db-custom-3-8192", "db-custom-98-65536", "db-custom-2-4000", "db-custom-1-8192"]
)
def test_a_tier_that_is_proposed_is_accepted(tier):
    with pytest.raises(Refused) as refused:
        DatabaseSettings(tier=tier)

    DatabaseSettings(tier=refused.value.cure)


def test_the_larger_edition_keeps_more_log():
    DatabaseSettings(
        edition="ENTERPRISE_PLUS",
        tier="db-perf-optimized-N-2",
        backups=BackupSettings(log_days=35, retained=35),
    )


@pytest.mark.parametrize(
    ("chosen", "key", "why"),
    [
        ({"enabled": False}, "pointInTimeRecovery", "needs the daily backups"),
        ({"log_days": 7, "retained": 3}, "logDays", "further than the 3 daily backups"),
    ],
)
def test_backups_that_restore_nothing_are_refused(chosen, key, why):
    with pytest.raises(Refused, match=why) as refused:
        BackupSettings(**chosen)

    assert refused.value.key == key
