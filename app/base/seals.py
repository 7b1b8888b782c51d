"""Texts that only we can have written: tokens of pages and changes, receipts, monitors."""

import hashlib
import json
import zlib
from functools import lru_cache
from typing import Any

from itsdangerous import Signer, URLSafeSerializer
from itsdangerous.encoding import base64_encode

# What is shorter is not packed: to set up the packing takes longer than all the rest.
_PACKED_FROM_BYTES = 640
# Made once: to make one takes longer than to write a value with it.
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class Sealer(URLSafeSerializer):
    """itsdangerous' own, but that it leaves short values unpacked, and keeps its signer."""

    @lru_cache(maxsize=32)  # noqa: B019  (sealers are kept anyway)
    def make_signer(self, salt: str | bytes | None = None) -> Signer:
        """Always the same for a salt: it remembers nothing of what it signs."""
        return super().make_signer(salt)

    def dump_payload(self, obj: Any) -> bytes:
        """A value as text for a URL; a dot before it says that it is packed."""
        plain = _JSON.encode(obj).encode()
        if len(plain) < _PACKED_FROM_BYTES:
            return base64_encode(plain)
        return b"." + base64_encode(zlib.compress(plain))


@lru_cache(maxsize=32)
def sealer_of(secret: bytes, salt: str) -> Sealer:
    """What seals values for one purpose and opens them again; the text may stand in a URL.

    salt: the purpose, so that a text of one cannot be passed off as one of another; a new one where
        the form of what is sealed changes, so that older texts are refused instead of misread
    """
    # The same digest as its own, but by OpenSSL alone.
    return Sealer(secret, salt=salt, signer_kwargs={"digest_method": hashlib.sha1})
