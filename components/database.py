"""The Postgres that holds runs, parameters, metrics and the model registry."""

import re
from dataclasses import dataclass, field
from typing import Annotated, Literal
from urllib.parse import quote

import pulumi
import pulumi_gcp as gcp
import pulumi_random as random
from pulumi import Input, Output, ResourceOptions
from pydantic import Field

from settings import Refused, settings

from .after import after
from .database_access import DatabaseAccess, DatabaseAccessArgs
from .identities import Identity
from .services import Apis
from .site import Site

SHARED_CORE = {"db-f1-micro": 614, "db-g1-small": 1741}
"""Memory of the small tiers in MiB; no service level covers them."""

CUSTOM = re.compile(r"db-custom-(?P<cpus>[1-9]\d*)-(?P<memory>[1-9]\d*)")

PERF_OPTIMIZED = {
    f"db-perf-optimized-N-{cpus}": cpus * 8192 for cpus in (2, 4, 8, 16, 32, 48, 64, 80, 96)
}
"""Memory of the tiers of ENTERPRISE_PLUS in MiB."""

MAX_CONNECTIONS = ((30720, 500), (15360, 400), (7680, 200), (3840, 100), (1024, 50), (0, 25))
"""Connections from that much memory (MiB) on. Cloud SQL's own defaults are about the same; these
are always sent, so that the server's connection budget cannot be wrong about them."""

RESERVED_CONNECTIONS = 6
"""Three for superusers, which is Postgres's default, and three for Google's own agents."""


@settings
class BackupSettings:
    """What can be restored, and how far back."""

    enabled: bool = True
    """Whether there are daily backups."""
    hour: Annotated[int, Field(ge=0, le=23)] = 3
    """When the daily backup begins, in UTC."""
    retained: Annotated[int, Field(ge=1, le=365)] = 14
    """Daily backups that are kept."""
    point_in_time_recovery: bool = True
    """Whether the transaction log is kept as well, to restore any moment and not only a backup."""
    log_days: Annotated[int, Field(ge=1, le=35)] = 7
    """Days of transaction log: up to 7, with ENTERPRISE_PLUS up to 35."""
    final_days: Annotated[int, Field(ge=0, le=365)] = 0
    """Days that a last backup is kept when the instance is deleted; 0 for none."""
    location: str | None = None
    """Region or multi-region of the backups. By default the multi-region nearest to it."""

    def __post_init__(self) -> None:
        if not self.enabled and self.point_in_time_recovery:
            raise Refused(
                "pointInTimeRecovery",
                "needs the daily backups, which are off",
                given=True,
                allowed="false without backups",
                cure="false",
            )
        if self.point_in_time_recovery and self.log_days > self.retained:
            raise Refused(
                "logDays",
                f"goes back further than the {self.retained} daily backups that it starts from",
                given=self.log_days,
                allowed=f"1 to {self.retained}",
                cure=str(min(self.retained, 7)),
            )


@settings
class DatabaseMaintenanceSettings:
    """When Google may restart the database for an update."""

    day: Annotated[int, Field(ge=1, le=7)] = 7
    """Day of the week, 1 is Monday."""
    hour: Annotated[int, Field(ge=0, le=23)] = 4
    """Begin of the one-hour window, in UTC."""
    track: Literal["canary", "stable", "week5"] = "stable"
    """How long after its announcement an update comes: one week, two, or five."""


@settings
class DatabaseSettings:
    """The Cloud SQL instance."""

    version: Literal["POSTGRES_16", "POSTGRES_17", "POSTGRES_18"] = "POSTGRES_17"
    """Major version of Postgres. It can be raised later, not lowered."""
    edition: Literal["ENTERPRISE", "ENTERPRISE_PLUS"] = "ENTERPRISE"
    """ENTERPRISE_PLUS keeps 35 days of log and restarts within a second, at a higher price."""
    tier: str = "db-custom-1-3840"
    """Size: `db-f1-micro`, `db-g1-small` or `db-custom-CPUS-MIB`; with ENTERPRISE_PLUS
    `db-perf-optimized-N-CPUS`."""
    availability: Literal["zonal", "regional"] = "zonal"
    """One machine, or a standby in another zone that takes over."""
    disk_type: Literal["PD_SSD", "PD_HDD"] = "PD_SSD"
    """Kind of disk. It is fixed once created."""
    disk_gb: Annotated[int, Field(ge=10, le=65536)] = 10
    """Size of the disk at creation. It grows by itself from there and never shrinks."""
    disk_limit_gb: Annotated[int, Field(ge=0, le=65536)] = 0
    """Size at which growing ends; 0 for Google's own limit."""
    backups: BackupSettings = field(default_factory=BackupSettings)
    maintenance: DatabaseMaintenanceSettings = field(default_factory=DatabaseMaintenanceSettings)
    login: Literal["iam", "password"] = "iam"
    """How the server logs in: as its Google account, which has no password and may not touch the
    schema; or with a generated password as a Cloud SQL user, which may."""
    max_connections: Annotated[int, Field(ge=20, le=10000)] | None = None
    """Connections that Postgres accepts. By default what Cloud SQL gives a machine of this size."""

    def __post_init__(self) -> None:
        self._check_tier()
        if self.availability == "regional" and not self.backups.point_in_time_recovery:
            raise Refused(
                "availability",
                "a standby needs backups.enabled and backups.pointInTimeRecovery",
                given="regional",
                allowed="zonal without them",
                cure="set backups.enabled and backups.pointInTimeRecovery to true",
            )
        backups = self.backups
        if backups.point_in_time_recovery and backups.log_days > 7 and self.edition == "ENTERPRISE":
            raise Refused(
                "backups.logDays",
                "is more than ENTERPRISE keeps",
                given=backups.log_days,
                allowed="1 to 7, with ENTERPRISE_PLUS to 35",
                cure="7",
            )
        if 0 < self.disk_limit_gb < self.disk_gb:
            raise Refused(
                "diskLimitGb",
                f"is less than diskGb, {self.disk_gb}",
                given=self.disk_limit_gb,
                allowed=f"0 for no limit, or {self.disk_gb} and more",
                cure=str(self.disk_gb),
            )

    def _check_tier(self) -> None:
        custom = CUSTOM.fullmatch(self.tier)
        allowed, cure = ", ".join([*SHARED_CORE, "db-custom-CPUS-MIB"]), DatabaseSettings.tier
        if self.edition == "ENTERPRISE_PLUS":
            why, allowed = "is not a tier of ENTERPRISE_PLUS", ", ".join(PERF_OPTIMIZED)
            if self.tier in PERF_OPTIMIZED:
                return
            cure = "db-perf-optimized-N-2"
        elif custom:
            cpus, memory = int(custom["cpus"]), int(custom["memory"])
            fits = min(cpus + cpus % 2 if cpus > 1 else 1, 96)
            least, most = max(3840, -(-fits * 3686 // 1024) * 256), fits * 6656
            if cpus != fits:
                why = "has a number of CPUs that Cloud SQL does not offer"
                allowed = "db-custom-CPUS-MIB with 1, 2, 4, 6 … 96 CPUs"
            elif not least <= memory <= most or memory % 256:
                why = "has more or less memory than goes with its CPUs"
                allowed = f"a multiple of 256 MiB from {least} to {most}"
            else:
                return
            memory = min(max(memory + -memory % 256, least), most)
            cure = f"db-custom-{fits}-{memory}"
        elif self.tier in SHARED_CORE:
            return
        elif self.tier in PERF_OPTIMIZED:
            why = "is a tier of ENTERPRISE_PLUS"
        else:
            why = "is not a tier"
        raise Refused("tier", why, given=self.tier, allowed=allowed, cure=cure)

    @property
    def memory_mib(self) -> int:
        """Memory of the instance."""
        if custom := CUSTOM.fullmatch(self.tier):
            return int(custom["memory"])
        return {**SHARED_CORE, **PERF_OPTIMIZED}[self.tier]

    @property
    def accepted_connections(self) -> int:
        """The flag `max_connections`, as it is sent."""
        fitting = (n for memory, n in MAX_CONNECTIONS if self.memory_mib >= memory)
        return self.max_connections or next(fitting)

    @property
    def connections(self) -> int:
        """What is left for the server and the migration."""
        return self.accepted_connections - RESERVED_CONNECTIONS


@dataclass(frozen=True, kw_only=True)
class DatabaseArgs:
    """Wiring of a database."""

    site: Site
    apis: Apis
    settings: DatabaseSettings
    network: Input[str]
    """A network in which Google may create instances."""
    server: Identity
    """Who reads and writes rows."""
    migration: Identity
    """Who changes the schema, and backs the instance up before."""


class Database(pulumi.ComponentResource):
    """One instance with one database, reached only through the SQL proxy on 127.0.0.1:5432."""

    connection_name: Output[str]
    """What the proxy is told; given out once `server` and `migration` may connect."""
    name: Output[str]
    """Name of the instance."""
    database: Output[str]
    """Name of the database in it."""
    owner_url: Output[str]
    """Of the role that owns the schema. Secret."""
    runtime_url: Output[str]
    """Of the role that the server logs in as. Secret where it has a password."""
    runtime_role: Output[str]

    def __init__(self, name: str, args: DatabaseArgs, opts: ResourceOptions | None = None):
        super().__init__("mlflow-platform:gcp:Database", name, None, opts)
        child = ResourceOptions(parent=self)
        site, settings, project = args.site, args.settings, args.apis["sqladmin"]
        backups, maintenance = settings.backups, settings.maintenance
        regional = settings.availability == "regional"

        # No explicit name: Cloud SQL holds a deleted instance's name for a week.
        instance = gcp.sql.DatabaseInstance(
            name,
            project=project,
            region=site.region,
            database_version=settings.version,
            deletion_protection=site.protect,  # refused by the provider
            settings={
                "tier": settings.tier,
                "edition": settings.edition,
                "deletion_protection_enabled": site.protect,  # refused by Google
                "user_labels": site.labels,
                "availability_type": "REGIONAL" if regional else "ZONAL",
                # Beside the nodes; a standby's zone is Google's choice.
                "location_preference": None if regional else {"zone": site.zones[0]},
                "disk_type": settings.disk_type,
                "disk_size": settings.disk_gb,
                "disk_autoresize": True,
                "disk_autoresize_limit": settings.disk_limit_gb,
                "connector_enforcement": "REQUIRED",  # a stolen password alone opens nothing
                "ip_configuration": {
                    "ipv4_enabled": False,
                    "private_network": args.network,
                    "ssl_mode": "ENCRYPTED_ONLY",
                },
                "backup_configuration": {
                    "enabled": backups.enabled,
                    "start_time": f"{backups.hour:02}:00",
                    "location": backups.location,
                    "backup_retention_settings": {"retained_backups": backups.retained},
                    "point_in_time_recovery_enabled": backups.point_in_time_recovery,
                    "transaction_log_retention_days": backups.log_days,
                },
                "final_backup_config": {"enabled": True, "retention_days": backups.final_days}
                if backups.final_days
                else {"enabled": False},
                "maintenance_window": {
                    "day": maintenance.day,
                    "hour": maintenance.hour,
                    "update_track": maintenance.track,
                },
                "insights_config": {"query_insights_enabled": True},
                "database_flags": [
                    {"name": "cloudsql.iam_authentication", "value": "on"},
                    {"name": "max_connections", "value": str(settings.accepted_connections)},
                ],
            },
            opts=ResourceOptions(
                parent=self,
                protect=site.protect,
                # It has grown by itself since, and setting it back would replace the instance.
                ignore_changes=["settings.diskSize"],
            ),
        )
        # The instance takes databases and users with it. Dropped one by one they would be refused:
        # a database while somebody is connected, a role while it owns tables.
        database = gcp.sql.Database(
            name,
            project=project,
            instance=instance.name,
            name="mlflow",
            deletion_policy="ABANDON",
            # Forgotten by a `destroy` that ends at the instance, it could not be made again.
            opts=ResourceOptions(parent=self, protect=site.protect),
        )
        access = DatabaseAccess(
            name,
            DatabaseAccessArgs(
                site=site,
                apis=args.apis,
                instance=instance.name,
                server=args.server,
                server_logs_in=settings.login == "iam",
                migration=args.migration,
            ),
            opts=child,
        )

        def password_login(job: str) -> tuple[Output[str], Output[str]]:
            password = random.RandomPassword(
                f"{name}-{job}", length=32, special=False, opts=child
            ).result
            user = gcp.sql.User(
                f"{name}-{job}",
                project=project,
                instance=instance.name,
                name=f"mlflow_{job}",
                password=password,
                deletion_policy="ABANDON",
                opts=child,
            )
            return user.name, Output.format("{0}:{1}", user.name, password)

        def iam_login(job: str, identity: Identity) -> tuple[Output[str], Output[str]]:
            user = gcp.sql.User(
                f"{name}-{job}",
                project=project,
                instance=instance.name,
                type="CLOUD_IAM_SERVICE_ACCOUNT",
                # As Cloud SQL shortens it: a role's name has 63 characters at most.
                name=identity.email.apply(lambda e: e.removesuffix(".gserviceaccount.com")),
                deletion_policy="ABANDON",
                opts=child,
            )
            return user.name, user.name.apply(lambda role: quote(role, safe=""))

        def url(credentials: Output[str]) -> Output[str]:
            return Output.format(
                "postgresql+psycopg2://{0}@127.0.0.1:5432/{1}", credentials, database.name
            )

        _, owner = password_login("owner")
        self.runtime_role, runtime = (
            iam_login("server", args.server)
            if settings.login == "iam"
            else password_login("server")
        )
        self.owner_url, self.runtime_url = url(owner), url(runtime)
        self.connection_name = after(instance.connection_name, *access.grants)
        self.name, self.database = instance.name, database.name
        self.register_outputs({})
