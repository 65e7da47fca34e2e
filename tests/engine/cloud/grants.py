"""Whether a Google account may do something."""

from collections.abc import Iterator

from .world import Visit


def granted(visit: Visit, token: str, role: str, email: str | None) -> Iterator[str]:
    """Note the grants of a type that give the role (or one it begins), or say that none does."""
    grants = [
        grant
        for grant in visit.world.of(token)
        if grant.usable
        and grant.inputs["member"] == f"serviceAccount:{email}"
        and grant.inputs["role"].startswith(role)
    ]
    visit.note(*grants)
    if not grants:
        yield f"403 Permission denied: {email} has not been granted {role}"
