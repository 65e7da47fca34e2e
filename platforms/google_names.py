"""What Google lets projects, places, labels and things named after a stack be called."""

import re
from collections.abc import Iterator, Mapping, Sequence

from settings import Refused

OURS = ("app", "managed-by", "stack")
"""Labels that every resource gets anyway."""

NAMED = (
    ("service account", "{name}-migration", 30),
    ("cluster", "{name}", 40),
    ("network", "{name}-0123abc", 63),
    ("bucket", "{name}-artifacts-0123abc", 63),
    ("database", "{project}:{name}-0123abc", 98),
)
"""The longest name of each kind that a stack's name becomes, and Google's limit for the kind."""

REGION = "[a-z]+-[a-z]+[0-9]+"

LABEL = "up to 63 lower-case letters, digits, hyphens and underscores"


def project_id(project: str) -> Iterator[Refused]:
    """Refuse what is not a project's id, such as its number or its display name."""
    if re.fullmatch(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", project):
        return
    why = "is not a project id"
    if project.isdigit():
        why = "is a project's number, not its id"
    yield Refused(
        "project",
        why,
        given=project,
        allowed="6 to 30 lower-case letters, digits and hyphens, a letter first",
        cure="the id stands under PROJECT_ID in `gcloud projects list`",
    )


def place(region: str, zones: Sequence[str]) -> Iterator[Refused]:
    """Refuse a region that cannot be one, and zones outside it or named twice."""
    if not re.fullmatch(REGION, region):
        zone = re.fullmatch(rf"({REGION})-[a-z0-9]+", region)
        yield Refused(
            "region",
            "is a zone" if zone else "is not the name of a region",
            given=region,
            allowed="a name like europe-west4; `gcloud compute regions list` has them all",
            cure=zone[1] if zone else "europe-west4",
        )
    yield from zones_within(region, zones, "zones")


def zones_within(region: str, zones: Sequence[str], key: str) -> Iterator[Refused]:
    """Refuse zones of another region, and zones named twice."""
    if not re.fullmatch(REGION, region):
        return  # refused already, and no zone could be right
    free = next(f"{region}-{letter}" for letter in "bcdaf" if f"{region}-{letter}" not in zones)
    for index, zone in enumerate(zones):
        if not re.fullmatch(rf"{region}-[a-z0-9]+", zone):
            yield Refused(
                f"{key}[{index}]",
                f"is not a zone of {region}",
                given=zone,
                allowed=f"zones of {region}, such as {free}",
                cure=free,
            )
        elif zone in zones[:index]:
            yield Refused(
                f"{key}[{index}]",
                "is named twice",
                given=zone,
                allowed="each zone once",
                cure="leave it out",
            )


def stack_name(name: str, project: str) -> Iterator[Refused]:
    """Refuse a prefix that would make the name of any resource malformed or too long."""
    if not re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", name):
        yield _name(name, "is not what names in Google Cloud can begin with")
    elif "google" in name or name.startswith("goog"):
        yield _name(name, "is in the bucket's name, where Google does not allow its own")
    else:
        for kind, pattern, most in NAMED:
            becomes = pattern.format(name=name, project=project)
            if len(becomes) > most:
                why = f"the {kind} {becomes} has {len(becomes)} characters, Google allows {most}"
                yield _name(name, why)
                break


def labels(chosen: Mapping[str, str]) -> Iterator[Refused]:
    """Refuse labels that Google would, and those that every resource gets anyway."""
    for key, value in chosen.items():
        at = f"labels.{key}" if re.fullmatch(r"[\w-]+", key) else f'labels["{key}"]'
        if key in OURS or key.startswith("goog"):
            owner = "this program" if key in OURS else "Google"
            yield Refused(
                at,
                f"is set by {owner}",
                given=value,
                allowed=f"any label but {', '.join(OURS)} and those that begin with goog",
                cure="choose another label, or leave it out",
            )
        elif not re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", key):
            yield Refused(
                at,
                "is not a key that a label can have",
                given=key,
                allowed=f"a lower-case letter, then {LABEL}",
                cure=f"begin it with a letter and use {LABEL}",
            )
        elif not re.fullmatch(r"[a-z0-9_-]{0,63}", value):
            yield Refused(
                at,
                "is not a value that a label can have",
                given=value,
                allowed=LABEL,
                cure=label(value),
            )


def label(text: str) -> str:
    """Any text as a label's value: lower case, a hyphen for what Google does not take."""
    return re.sub(r"[^a-z0-9_-]", "-", text.lower())[:63]


def _name(name: str, why: str) -> Refused:
    spelled = re.sub(r"[^a-z0-9]+", "-", name.lower().replace("google", ""))
    fitting = re.sub(r"^(goog|[0-9-])+", "", spelled)
    return Refused(
        "name",
        why,
        given=name,
        allowed="up to 20 lower-case letters, digits and hyphens, a letter first, no hyphen last",
        cure=fitting[:20].rstrip("-") or "mlflow",
    )
