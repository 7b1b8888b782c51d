"""Texts that only we can have written: tokens of pages and changes, receipts, monitors."""

from functools import lru_cache

from itsdangerous import URLSafeSerializer


@lru_cache(maxsize=32)
def sealer_of(secret: bytes, salt: str) -> URLSafeSerializer:
    """What seals values for one purpose and opens them again; the text may stand in a URL.

    salt: the purpose, so that a text of one cannot be passed off as one of another
    """
    return URLSafeSerializer(secret, salt=salt)
