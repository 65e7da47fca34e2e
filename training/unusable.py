"""The kind of error that is the user's to mend."""


class Unusable(Exception):
    """What was given cannot be used; the message says why, what can be, and what to type."""
