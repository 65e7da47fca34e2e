"""`python -m tests.cluster.images`: have what images are made of, before tests share the machine.

Where none can be built, the tests say why.
"""

import sys
from contextlib import suppress

from tests.cluster import requirements
from tests.cluster.cloud_sql import proxy
from tests.cluster.images import base
from tests.object_store import gateway
from tools.go_module import NoGo, NotBuilt
from tools.logged import CommandFailed

if __name__ == "__main__":
    try:
        with suppress(requirements.CannotRun, NoGo):
            requirements.check(requirements.IMAGES)
            base.archive()
            for module in (gateway.MODULE, proxy.MODULE):
                module.find()
    except (CommandFailed, NotBuilt) as problem:
        sys.exit(f"error: {problem}")
