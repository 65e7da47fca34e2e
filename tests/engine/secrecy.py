"""Whether anything of a stack's secrets lies about in plain text."""

import base64
import json
from pathlib import Path
from urllib.parse import quote

from .stack import Stack
from .tokens import PASSWORD


def passwords(stack: Stack) -> list[str]:
    """All that were generated for a stack."""
    return [p.outputs["result"]["value"] for p in stack.cloud.world.of(PASSWORD)]


def in_plain_text(stack: Stack) -> list[Path]:
    """Files of the state and of the program that hold one, however it is spelled."""
    shown = json.dumps(json.loads(stack.pulumi("stack", "export", "--show-secrets")))
    folders = (stack.backend.folder, stack.program)
    kept = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    spellings: set[str] = set()
    for password in passwords(stack):
        assert password in shown, "an empty search proves nothing"
        spellings |= {password, quote(password), base64.b64encode(password.encode()).decode()}
    texts = ((file, file.read_text(errors="replace")) for file in kept)
    return [file for file, text in texts if any(spelling in text for spelling in spellings)]
