"""What a user can mend."""


class Problem(Exception):
    """Said in one line, without a traceback: what was given, what is allowed, what to type."""
