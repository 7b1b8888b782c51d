"""What an error of a driver says: an exception of SQLite or PostgreSQL in, yes or no out."""

import sqlite3
from typing import Any

import psycopg

DRIVER_ERRORS = (sqlite3.Error, psycopg.Error)
# What SQLite says where it may answer later, in the low byte of its codes.
_NOT_NOW = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOMEM,
}


def says_timeout(cause: Any) -> bool:
    """Was the statement stopped by our time limit?"""
    return str(cause) == "interrupted" or getattr(cause, "sqlstate", None) == "57014"


def says_too_complex(cause: Any) -> bool:
    """Is the statement nested deeper than the database reads?"""
    words = str(cause)
    return (
        "parser stack overflow" in words
        or "Expression tree is too large" in words
        or getattr(cause, "sqlstate", None) == "54001"
    )


def says_out_of_range(cause: Any) -> bool:
    """Did a value of the question leave the range of its type, in SQL or in a function of ours?"""
    words = str(cause)
    return (
        words == "integer overflow"
        or words.startswith("user-defined ")
        or getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_TOOBIG
        or str(getattr(cause, "sqlstate", None)).startswith("22")
    )


def says_full(cause: Any) -> bool:
    """Is the disk full or read-only?"""
    words = str(cause)
    return (
        "disk is full" in words
        or "readonly database" in words
        or getattr(cause, "sqlstate", None) in {"53100", "25006"}
    )


def says_busy(cause: Any) -> bool:
    """Can the database not be reached, or is it locked, so that asking again may help?"""
    if isinstance(cause, sqlite3.OperationalError):
        return getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_BUSY) & 0xFF in _NOT_NOW
    return isinstance(cause, psycopg.OperationalError)
