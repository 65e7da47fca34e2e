"""Runs in a server's pod: makes a user, as its admin. The password comes by standard input."""

import os
import sys

import requests

created = requests.post(
    "http://127.0.0.1:5000/api/2.0/mlflow/users/create",
    json={"username": sys.argv[1], "password": sys.stdin.read()},
    auth=("admin", os.environ["MLFLOW_AUTH_ADMIN_PASSWORD"]),
    timeout=60,
)
created.raise_for_status()
