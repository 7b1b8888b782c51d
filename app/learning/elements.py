"""Elements of events and the digests of buckets made of them: the arithmetic of `fm/1`. Pure.

An element is 32 bytes made of who, what and where; a digest is a count and the sum of elements
modulo 2^256, which no order, no sharding and no repetition can change.
"""

import hmac
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

SPEC = "fm/1"
ELEMENT_BYTES = 32
MODULUS = 1 << 256
ZERO_SUM = bytes(ELEMENT_BYTES)

_TAG = "fm1"
_NO_TEXT = bytes(4)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SPELLED_LENGTH = 43


def frame_text(text: str) -> bytes:
    """Give a text with its length before it: 4 bytes big-endian, then UTF-8."""
    told = text.encode()
    return len(told).to_bytes(4, "big") + told


def frame_stream(environment_key: str, source_key: str, stream: str) -> bytes:
    """Give what the elements of all events of a stream begin with."""
    return b"".join(map(frame_text, (_TAG, environment_key, source_key, stream)))


def make_element(secret: bytes, framed_stream: bytes, event_id: str, data_digest: str) -> bytes:
    """Give the element of an event.

    Shape:  framed_stream: of `frame_stream`; data_digest: hexadecimal in lower case, or empty
    Source: docs/completeness.md, "Elements"
    """
    return finish_element(begin_elements(secret, framed_stream), event_id, data_digest)


def begin_elements(secret: bytes, framed_stream: bytes) -> hmac.HMAC:
    """Give what the elements of a stream's events have in common, worked out once."""
    return hmac.new(secret, framed_stream, "sha256")


def finish_element(begun: hmac.HMAC, event_id: str, data_digest: str) -> bytes:
    """Give the element of an event of a stream whose common part is there."""
    own = begun.copy()
    own.update(frame_text(event_id) + (frame_text(data_digest) if data_digest else _NO_TEXT))
    return own.digest()


def sum_elements(elements: Iterable[bytes]) -> bytes:
    """Give the sum of elements, or of sums."""
    return pack_sum(sum(int.from_bytes(element, "big") for element in elements))


def pack_sum(number: int) -> bytes:
    """Give a whole number as the 32 bytes of a sum; what is negative wraps around."""
    return (number % MODULUS).to_bytes(ELEMENT_BYTES, "big") if number else ZERO_SUM


def subtract_sums(left: bytes, right: bytes) -> bytes:
    """Give the difference of two sums: what is in the left and not in the right."""
    return pack_sum(int.from_bytes(left, "big") - int.from_bytes(right, "big"))


def spell_sum(value: bytes) -> str:
    """Spell a sum or an element as it travels: unpadded base64url.

    Source: RFC 4648, section 5
    """
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def read_sum(text: str) -> bytes:
    """Read a sum as it travels.

    Raises: ValueError when the text is not the one spelling of 32 bytes
    """
    if len(text) != _SPELLED_LENGTH or not text.isascii():
        raise ValueError("a sum is 32 bytes as 43 characters of unpadded base64url")
    value = b64decode(text + "=", altchars=b"-_", validate=True)
    if spell_sum(value) != text:
        raise ValueError("a sum is 32 bytes as 43 characters of unpadded base64url")
    return value


def slot_number(moment: datetime, bucket_s: int) -> int:
    """Give the number of the slot that a moment lies in; slots begin at multiples since 1970."""
    return int(moment.timestamp() // bucket_s)


def moment_of_slot(number: int, bucket_s: int) -> datetime:
    """Give the start of a slot by its number."""
    return _EPOCH + timedelta(seconds=number * bucket_s)


def is_boundary(moment: datetime, bucket_s: int) -> bool:
    """Does a slot begin at this moment?"""
    return (moment - _EPOCH) % timedelta(seconds=bucket_s) == timedelta(0)
