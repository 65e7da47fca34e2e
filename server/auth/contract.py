"""What a server with a login is told, by its command and environment.

Apart from what reads it, so that whoever starts one need not import MLflow.
"""

APP = "basic-auth"
"""What MLflow calls its app with a login."""

ADMIN = "admin"

ADMIN_PASSWORD = "MLFLOW_AUTH_ADMIN_PASSWORD"  # noqa: S105
"""The first password of the admin; where a migration has it, there is a login. Secret."""

KEY = "MLFLOW_FLASK_SERVER_SECRET_KEY"
"""What pages are signed with. Secret."""

DEFAULT_PERMISSION = "LOGIN_DEFAULT_PERMISSION"
"""What everybody may do with what others made."""

CACHE_SECONDS = "LOGIN_CACHE_SECONDS"
"""How long a worker goes by what it knows of a user."""
