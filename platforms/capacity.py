"""Whether the parts of a stack are large enough for each other."""

import ipaddress
import math
import re
from collections.abc import Iterable, Iterator

from components.cluster import NodeAutoProvisioningSettings
from components.database import RESERVED_CONNECTIONS, DatabaseSettings
from components.network import NetworkSettings
from components.node_pool import NodePoolSettings
from server.spec import MIGRATION_CONNECTIONS, SURGE_REPLICAS, Size
from settings import Refused

TIERS = ("db-g1-small", *(f"db-custom-{n}-{n * 3840}" for n in (1, 2, 4, 8)))
"""From small to large, one for each number of connections that ENTERPRISE has."""

PLUS_TIERS = ("db-perf-optimized-N-2", "db-perf-optimized-N-4")

MAX_CONNECTIONS = 10000

KEPT_ADDRESSES = 4
"""Google keeps them of every subnet: network, gateway, the second to last, broadcast."""

SHARED_CORE = ("e2-micro", "e2-small", "f1-micro", "g1-small")
"""Machines on which Kubernetes' own pods leave no memory for a server."""

SYSTEM_CPUS = 0.6
"""What Kubernetes keeps of a node's CPUs, and what its own pods on each node ask for."""


def connections(database: DatabaseSettings, server: Size) -> Iterator[Refused]:
    """Refuse a server that may open more connections than the database accepts."""
    if server.budget <= database.connections:
        return
    pods = f"({server.max_replicas} + {SURGE_REPLICAS} pods) x {server.connections}"
    flag = database.max_connections is not None
    larger = (
        DatabaseSettings(edition=database.edition, tier=tier)
        for tier in (PLUS_TIERS if database.edition == "ENTERPRISE_PLUS" else TIERS)
    )
    fitting = None if flag else next((d for d in larger if d.connections >= server.budget), None)
    needed = server.budget + RESERVED_CONNECTIONS
    size = "a smaller server.size, or fewer server.maxReplicas"
    yield Refused(
        "database.maxConnections" if flag or not fitting else "database.tier",
        f"{pods} + {MIGRATION_CONNECTIONS} for the migration = {server.budget} connections, "
        f"but only {database.connections} of {database.accepted_connections} are free for them",
        given=database.max_connections or database.tier,
        allowed=f"{fitting.tier} and larger, or {size}" if fitting else f"from {needed}, or {size}",
        cure=fitting.tier
        if fitting
        else str(needed)
        if needed <= MAX_CONNECTIONS
        else f"choose {size}",
    )


def server_nodes(pool: NodePoolSettings, server: Size) -> Iterator[Refused]:
    """Refuse a CPU pool on which the server cannot run at full scale during an update."""
    requested = float(server.cpu.removesuffix("m")) / (1000 if server.cpu.endswith("m") else 1)
    cpus = re.fullmatch(r"\w+-\w+-(\d+)", pool.machine_type)
    if pool.machine_type in SHARED_CORE or (cpus and int(cpus[1]) < requested + SYSTEM_CPUS):
        least = next(n for n in (2, 4, 8, 16) if n >= requested + SYSTEM_CPUS)
        yield Refused(
            "cpuPool.machineType",
            f"is too small for one pod of the server ({server.cpu} CPU, {server.memory_mib} MiB)"
            " beside those of Kubernetes",
            given=pool.machine_type,
            allowed=f"e2-standard-{least} or larger",
            cure=f"e2-standard-{least}",
        )
    elif cpus:
        pods = server.max_replicas + SURGE_REPLICAS
        per_node = int((int(cpus[1]) - SYSTEM_CPUS) / requested)
        if pods > per_node * pool.max_nodes:
            yield Refused(
                "cpuPool.maxNodes",
                f"{pods} pods of the server are needed in an update at full scale, "
                f"and a node of {pool.machine_type} has room for {per_node}",
                given=pool.max_nodes,
                allowed=f"{math.ceil(pods / per_node)} or more",
                cure=str(math.ceil(pods / per_node)),
            )


def addresses(network: NetworkSettings, pools: Iterable[NodePoolSettings]) -> Iterator[Refused]:
    """Refuse a network that has fewer addresses than the pools at full scale."""
    nodes, pods = 0, 0
    for pool in pools:
        added, _ = pool.surge
        nodes += pool.max_nodes + added
        # Google gives a node twice as many addresses as pods, rounded up to a power of two.
        pods += (pool.max_nodes + added) * 2 ** math.ceil(math.log2(2 * pool.max_pods_per_node))
    for key, needed in (("nodes", nodes + KEPT_ADDRESSES), ("pods", pods)):
        chosen = getattr(network, key)
        prefix = 32 - math.ceil(math.log2(needed))
        if prefix < ipaddress.IPv4Network(chosen).prefixlen:
            yield Refused(
                f"network.{key}",
                f"the pools need {needed} addresses at full scale",
                given=chosen,
                allowed=f"a range of /{prefix} or larger, or fewer maxNodes",
                cure=f"choose a range of /{prefix} that no other range touches",
            )


def provisioned(
    limits: NodeAutoProvisioningSettings | None, pool: NodePoolSettings | None
) -> Iterator[Refused]:
    """Refuse limits of the whole cluster that its own GPU pool would exceed."""
    if limits is None or pool is None or pool.accelerator is None:
        return
    gpu = pool.accelerator
    given, needed = limits.max_accelerators.get(gpu.type, 0), gpu.count * pool.max_nodes
    if given < needed:
        yield Refused(
            f"cluster.nodeAutoProvisioning.maxAccelerators.{gpu.type}",
            f"holds for gpuPool too, which may run {needed}",
            given=given,
            allowed=f"{needed} or more",
            cure=str(needed),
        )
