"""What a migration is told, by its environment.

Apart from `migration.py`, so that whoever starts one need not import MLflow.
"""

OWNER_URL = "MIGRATION_OWNER_URL"
"""SQLAlchemy URL of the role that owns the schema. Secret."""

RUNTIME_ROLE = "MIGRATION_RUNTIME_ROLE"
"""The role that the servers log in as; unset where they log in as the owner."""

INSTANCE = "MIGRATION_INSTANCE"
"""`PROJECT:REGION:INSTANCE` to back up before an upgrade; unset where it is not Cloud SQL."""
