"""The registries of module types and streams."""

import pytest

from app.learning.modules import (
    FAMILY_STREAMS,
    MODULE_TYPE_NAMES,
    MODULE_TYPES,
    STREAM_NAMES,
    stream_kind,
)


def test_there_are_ten_module_types_and_thirteen_streams() -> None:
    assert len(MODULE_TYPES) == len(set(MODULE_TYPE_NAMES)) == 10
    assert len(STREAM_NAMES) == len(set(STREAM_NAMES)) == 13
    assert set(FAMILY_STREAMS) < set(STREAM_NAMES)


def test_a_stream_is_of_a_module_type_or_of_its_family() -> None:
    assert stream_kind("quest") == "module_type"
    assert stream_kind("people") == "people"
    with pytest.raises(KeyError):
        stream_kind("nothing")
