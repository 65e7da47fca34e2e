"""Runs in a server's pod: makes a user. Two passwords come by standard input, the admin's first."""

import sys

import requests

admin, password = sys.stdin.read().splitlines()
created = requests.post(
    "http://127.0.0.1:5000/api/2.0/mlflow/users/create",
    json={"username": sys.argv[1], "password": password},
    auth=("admin", admin),
    timeout=60,
)
created.raise_for_status()
