"""What the server's own database role may do: read and write rows, never change the schema."""

import logging

from sqlalchemy import Connection, inspect, text
from sqlalchemy.sql import quoted_name

logger = logging.getLogger(__name__)

VERSIONS = ("alembic_version", "alembic_version_auth")
"""The server compares its revision with these at each start, and never writes them."""

ROWS = "SELECT, INSERT, UPDATE, DELETE"
NUMBERS = "USAGE, SELECT"
"""The columns that count themselves take their next value from a sequence."""


def grant_rows(owner: Connection, role: str) -> None:
    """Give `role` every row of the connected owner's tables, also of those still to be made."""
    quote = owner.dialect.identifier_preparer.quote
    schema = quote(owner.scalar(text("SELECT current_schema()")))
    name = quote(quoted_name(role, quote=True))  # an IAM role is an e-mail address

    for statement in (
        f"GRANT USAGE ON SCHEMA {schema} TO {name}",
        f"GRANT {ROWS} ON ALL TABLES IN SCHEMA {schema} TO {name}",
        f"GRANT {NUMBERS} ON ALL SEQUENCES IN SCHEMA {schema} TO {name}",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT {ROWS} ON TABLES TO {name}",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT {NUMBERS} ON SEQUENCES TO {name}",
        *(
            f"REVOKE INSERT, UPDATE, DELETE ON {schema}.{table} FROM {name}"
            for table in VERSIONS
            if inspect(owner).has_table(table)
        ),
    ):
        owner.execute(text(statement))

    if owner.scalar(
        text("SELECT has_schema_privilege(:role, current_schema(), 'CREATE')"), {"role": role}
    ):
        logger.warning(
            "role %s may still create tables: it has that right from a role that it is a member"
            " of, or everybody has it in this database",
            role,
        )
