"""What it takes to give up a stack's data."""

from collections.abc import Iterator

from settings import Refused


def said_twice(stack: str, *, protect: bool, said: str | None) -> Iterator[Refused]:
    """Production data are given up by whoever says so twice."""
    if protect and said:
        yield Refused(
            "allowDataLoss",
            "has no meaning while protectData is true",
            given=said,
            allowed="nothing",
            cure="leave it out until the day that the data may go",
        )
    elif said not in (None, stack):
        yield Refused(
            "allowDataLoss",
            "names another stack",
            given=said,
            allowed=stack,
            cure="leave it out, and protectData at true, unless the data may go",
        )
    elif "prod" in stack.lower() and not protect and not said:
        yield Refused(
            "protectData",
            f"would let every run and model of {stack} be deleted",
            given=False,
            allowed=f"true; or false together with allowDataLoss: {stack}",
            cure="true",
        )
