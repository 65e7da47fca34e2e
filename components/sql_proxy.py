"""The Cloud SQL Auth Proxy, as a sidecar of the pods that talk to the database."""

from pulumi import Input

from server.pod import CONTAINER_SECURITY, Document

IMAGE = "gcr.io/cloud-sql-connectors/cloud-sql-proxy:2.26.3"

HEALTH_PORT = 9090


def sql_proxy(instance: Input[str], *, iam_login: bool) -> Document:
    """Open the instance on 127.0.0.1:5432, encrypted and as the pod's Google account.

    `iam_login` lets the account log in to Postgres without a password as well. An init container
    that restarts is a native sidecar: it is up before the other containers start, and does not keep
    a Job from ending.
    """
    login = ["--auto-iam-authn"] if iam_login else []
    return {
        "name": "cloud-sql-proxy",
        "image": IMAGE,
        "restartPolicy": "Always",
        "args": [
            "--private-ip",  # the instance has no other address; the default is the public one
            "--address=127.0.0.1",
            "--port=5432",
            "--health-check",
            "--http-address=0.0.0.0",  # the kubelet asks from outside of the pod
            f"--http-port={HEALTH_PORT}",
            "--structured-logs",
            "--exit-zero-on-sigterm",
            *login,
            instance,
        ],
        "ports": [{"name": "health", "containerPort": HEALTH_PORT}],
        "startupProbe": {
            "httpGet": {"path": "/startup", "port": "health"},
            "periodSeconds": 1,
            "timeoutSeconds": 5,
            "failureThreshold": 60,
        },
        "livenessProbe": {
            "httpGet": {"path": "/liveness", "port": "health"},
            "periodSeconds": 60,
            "timeoutSeconds": 30,
            "failureThreshold": 5,
        },
        # No readiness probe: the server's own asks the database, through the proxy.
        "resources": {
            "requests": {"cpu": "50m", "memory": "64Mi"},
            "limits": {"memory": "256Mi"},
        },
        "securityContext": CONTAINER_SECURITY,
    }
