"""The kinds of values that event data may hold, as pydantic types.

Nothing is coerced: "50" is no number, 1 is no truth value. Times are checked and stay texts.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from app.learning.modules import MODULE_TYPE_NAMES, STREAM_NAMES
from app.learning.times import DATE_HINT, TIME_HINT, parse_date, parse_time

MAX_INT = 2**63 - 1
MIN_INT = -(2**63)
MAX_SECONDS = 2**31 - 1
KEY_LENGTH = 200
TEXT_LENGTH = 2000

# Both patterns are read alike by Rust (pydantic), Python and ECMA-262 (JSON Schema).
_PRINTABLE = r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$"
_WRITABLE = r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]*$"


@dataclass(frozen=True, slots=True)
class OneOf:
    """A closed list of words, for use in Annotated."""

    words: tuple[str, ...]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Let exactly these words pass."""
        del source, handler
        return core_schema.literal_schema(list(self.words))


def _check_time(text: str) -> str:
    try:
        parse_time(text)
    except ValueError:
        raise PydanticCustomError("time", TIME_HINT) from None
    return text


def _check_date(text: str) -> str:
    try:
        parse_date(text)
    except ValueError:
        raise PydanticCustomError("date", DATE_HINT) from None
    return text


def _check_attribute(value: object) -> object:
    if isinstance(value, str):
        if len(value) > TEXT_LENGTH:
            raise PydanticCustomError("attribute", "must be at most 2000 characters")
        if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
            raise PydanticCustomError("attribute", "must hold printable characters only")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise PydanticCustomError("attribute", "must be finite")
    elif isinstance(value, int):
        if not MIN_INT <= value <= MAX_INT:
            raise PydanticCustomError("attribute", "must fit into 64 bits")
    elif value is not None:
        raise PydanticCustomError("attribute", "must be text, a number, true, false or null")
    return value


Key = Annotated[str, Field(min_length=1, max_length=KEY_LENGTH, pattern=_PRINTABLE)]
Text = Annotated[str, Field(max_length=TEXT_LENGTH, pattern=_WRITABLE)]
Time = Annotated[str, AfterValidator(_check_time), Field(json_schema_extra={"format": "date-time"})]
Date = Annotated[str, AfterValidator(_check_date), Field(json_schema_extra={"format": "date"})]
Percent = Annotated[float, Field(ge=0, le=100)]
Amount = Annotated[float, Field(ge=0)]
MaxScore = Annotated[float, Field(gt=0)]
Whole = Annotated[int, Field(ge=MIN_INT, le=MAX_INT)]
Count = Annotated[int, Field(ge=0, le=MAX_INT)]
Cycle = Annotated[int, Field(ge=1, le=MAX_INT)]
Seconds = Annotated[int, Field(ge=0, le=MAX_SECONDS)]
AttributeValue = Annotated[Any, AfterValidator(_check_attribute)]
ModuleTypeName = Annotated[str, OneOf(MODULE_TYPE_NAMES)]
StreamName = Annotated[str, OneOf(STREAM_NAMES)]


class EventData(BaseModel):
    """What every `data` has in common: strict values; unknown fields are kept."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)
