"""Runs in a server's pod: says what the database answers to statements, as the server's own role.

`python -c PROGRAM STATEMENT...` prints, for each of them, the name of the refusal or null.
"""

import json
import os
import sys

from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

database = create_engine(os.environ["MLFLOW_BACKEND_STORE_URI"])


def answer(statement: str) -> str | None:
    with database.connect() as connection:  # undone at its end, should it be allowed after all
        try:
            connection.execute(text(statement))
        except DBAPIError as refusal:
            return type(refusal.orig).__name__
    return None


print(json.dumps({statement: answer(statement) for statement in sys.argv[1:]}))
