"""A stand-in for Cloud SQL, real enough for the real Cloud SQL Auth Proxy."""

from .instance import CloudSql

__all__ = ["CloudSql"]
