"""Packed bodies: gzip is read, bombs are stopped, damage is told."""

import gzip

import pytest

from app.base.config import Settings
from app.base.errors import BodyEncodingUnknown, BodyNotUnpacked, BodyTooLarge
from app.intake.unpack import unpack_body


def test_plain_and_packed_bytes_come_out_alike(settings: Settings) -> None:
    assert unpack_body(b"abc", None, settings) == b"abc"
    assert unpack_body([b"a", b"bc"], "identity", settings) == b"abc"
    assert unpack_body(gzip.compress(b"abc"), "gzip", settings) == b"abc"


def test_a_packed_body_may_come_in_single_bytes_and_several_members(settings: Settings) -> None:
    packed = gzip.compress(b"abc" * 1000) + gzip.compress(b"def")
    chunks = [packed[i : i + 1] for i in range(len(packed))]
    assert unpack_body(chunks, "X-GZIP", settings) == b"abc" * 1000 + b"def"


@pytest.mark.parametrize(
    "body",
    [b"", b"abc", gzip.compress(b"abc")[:-3], gzip.compress(b"abc") + b"more"],
    ids=["empty", "plain", "cut", "trailing"],
)
def test_a_damaged_body_is_told_from_a_whole_one(body: bytes, settings: Settings) -> None:
    with pytest.raises(BodyNotUnpacked):
        unpack_body(body, "gzip", settings)


def test_a_bomb_is_stopped_by_its_ratio_and_by_its_size(settings: Settings) -> None:
    bomb = gzip.compress(b"a" * 50_000_000)
    with pytest.raises(BodyTooLarge, match="20 times"):
        unpack_body(bomb, "gzip", settings)
    patient = settings.model_copy(update={"limit_body_ratio": 100_000})
    with pytest.raises(BodyTooLarge, match="unpacks to more than 10485760"):
        unpack_body(bomb, "gzip", patient)


def test_too_many_bytes_are_refused_while_they_come(settings: Settings) -> None:
    small = settings.model_copy(update={"limit_body_bytes": 10})
    with pytest.raises(BodyTooLarge, match="10 bytes"):
        unpack_body([b"a" * 6, b"b" * 6], None, small)


def test_another_encoding_is_refused_by_name(settings: Settings) -> None:
    with pytest.raises(BodyEncodingUnknown, match="br"):
        unpack_body(b"", "br", settings)
