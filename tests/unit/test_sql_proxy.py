"""The Cloud SQL Auth Proxy's flags and probes."""

import pytest

from components.sql_proxy import sql_proxy


@pytest.fixture
def proxy():
    return sql_proxy("p:r:i", iam_login=True)


def test_only_the_pod_itself_reaches_the_database_through_it(proxy):
    assert "--address=127.0.0.1" in proxy["args"]
    assert "--port=5432" in proxy["args"]


def test_it_goes_to_the_private_address(proxy):
    assert "--private-ip" in proxy["args"]
    assert proxy["args"][-1] == "p:r:i"


def test_only_who_asks_for_it_logs_in_without_a_password(proxy):
    assert "--auto-iam-authn" in proxy["args"]
    assert "--auto-iam-authn" not in sql_proxy("p:r:i", iam_login=False)["args"]


def test_the_kubelet_reaches_its_health_pages(proxy):
    (port,) = proxy["ports"]

    assert {"--health-check", "--http-address=0.0.0.0"} <= set(proxy["args"])
    assert f"--http-port={port['containerPort']}" in proxy["args"]
    for probe, path in (("startupProbe", "/startup"), ("livenessProbe", "/liveness")):
        assert proxy[probe]["httpGet"] == {"path": path, "port": port["name"]}


def test_it_starts_first_and_ends_last_and_without_an_error(proxy):
    assert proxy["restartPolicy"] == "Always"
    assert "--exit-zero-on-sigterm" in proxy["args"]


def test_its_version_is_pinned(proxy):
    assert proxy["image"].rpartition(":")[2].count(".") == 2
