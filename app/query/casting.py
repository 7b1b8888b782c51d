"""`cast` and `isof`: a value and the name of a type in, a typed Expr out.

Both know the same types and go by the same rules: what can be cast to a type is of it.
Source: OData URL Conventions 4.01, section 5.1.1.10
"""

from collections.abc import Iterator

from app.base.errors import BadSyntax, NotSupported
from app.catalog.fields import Dataset, Type
from app.catalog.index import DATASETS
from app.query.expr import Cast, Column, Expr, Literal
from app.query.kinds import (
    FALSE,
    NAMESPACE,
    NULL,
    NUMBERS,
    TRUE,
    compare_values,
    refuse_infinite,
    refuse_word,
    tell_type,
)
from app.query.literals import read_as
from app.query.names import nearest_hint

_WHOLE_BOUNDS = {
    "Edm.Byte": (0, 255),
    "Edm.SByte": (-128, 127),
    "Edm.Int16": (-(2**15), 2**15 - 1),
    "Edm.Int32": (-(2**31), 2**31 - 1),
    "Edm.Int64": (-(2**63), 2**63 - 1),
}
_EDM_TYPES = {
    **dict.fromkeys(_WHOLE_BOUNDS, Type.INT),
    **dict.fromkeys(("Edm.Single", "Edm.Decimal", "Edm.Double"), Type.NUMBER),
    "Edm.String": Type.TEXT,
    "Edm.Boolean": Type.BOOL,
    "Edm.DateTimeOffset": Type.TIME,
    "Edm.Date": Type.DATE,
    "Edm.TimeOfDay": Type.CLOCK,
    "Edm.Duration": Type.SPAN,
    "Edm.Guid": Type.GUID,
}
# Of several names of a kind the widest, which is the last above: that of its fields.
EDM_NAMES = {kind: name for name, kind in _EDM_TYPES.items()}
# What the standard knows and we do not offer.
_NOT_OFFERED = (
    *("Edm.Binary", "Edm.Stream", "Edm.Untyped"),
    *("Edm.PrimitiveType", "Edm.ComplexType", "Edm.EntityType"),
)
_PLACES = ("Edm.Geography", "Edm.Geometry")
_COMPLEX = ("Attributes", "StreamVerdict")


def known_type(name: str, dataset: Dataset, scopes: frozenset[str]) -> str:
    """The full name of a type; one of the model may stand without its namespace.

    dataset: that of the row itself
    Raises: BadSyntax, where there is no such type
    """
    full = name if "." in name else f"{NAMESPACE}.{name}"
    known = [*_EDM_TYPES, *_NOT_OFFERED]
    for one in (dataset, *DATASETS):
        if one is dataset or one.scope in scopes:
            known += [f"{NAMESPACE}.{plain}" for plain in _types_of(one)]
    if full in known or full.startswith(_PLACES):
        return full
    raise BadSyntax(f"there is no type {name[:60]!r}", hint=nearest_hint(name, known))


def _types_of(dataset: Dataset) -> Iterator[str]:
    yield dataset.entity
    yield from (field.enumeration.name for field in dataset.fields if field.enumeration)
    yield from _COMPLEX


def cast_value(term: Expr, name: str) -> Expr:
    """Type `cast(term,name)`; what does not fit is null.

    Raises: NotSupported, where we know no cast
    Source: OData URL Conventions 4.01, section 5.1.1.10.1
    """
    if term.type is Type.NULL:
        return NULL
    refuse_word(term)
    refuse_infinite(term)
    if _own_type(term) == name:
        return term
    target = _edm_type(name)
    if not _is_assignable(term.type, target):
        raise NotSupported(f"{tell_type(term)}; it cannot be cast to {name}")
    least, most = _WHOLE_BOUNDS.get(name, (None, None))
    if term.type is Type.TEXT and target is not Type.TEXT:
        return _cast_text(term, target, least=least, most=most)
    if target is Type.INT:
        return Cast(Type.INT, term, least, most)
    return term if target is term.type else Cast(target, term)


def _cast_text(term: Expr, target: Type, *, least: int | None, most: int | None) -> Expr:
    """A text read as a value; a constant is read at once."""
    if not isinstance(term, Literal):
        return Cast(target, term, least, most)
    read = read_as(target, term.value)
    fits = least is None or most is None or read.value is None or least <= read.value <= most
    return read if fits else NULL


def is_of(term: Expr, name: str) -> Expr:
    """Type `isof(term,name)`: true for a value that can be cast to that type, false for null.

    Raises: NotSupported, where we know no cast to the type from whatever
    Source: OData URL Conventions 4.01, section 5.1.1.10.2
    """
    if _own_type(term) != name:
        is_of_model = name.startswith(f"{NAMESPACE}.")
        if is_of_model or not _is_assignable(term.type, _edm_type(name)):
            return FALSE
    found = cast_value(term, name)
    return FALSE if found == NULL else compare_values("ne", found, NULL)


def is_row_of(dataset: Dataset, name: str) -> Expr:
    """Type `isof(name)`: is a row of this dataset of that type? No type here has others below it.

    Source: OData URL Conventions 4.01, section 5.1.1.10.2
    """
    return TRUE if name == f"{NAMESPACE}.{dataset.entity}" else FALSE


def tell_edm_type(expr: Expr) -> str:
    """The name of the type that an expression is of, as $metadata has it."""
    return _own_type(expr) or EDM_NAMES.get(expr.type, expr.type)


def _own_type(term: Expr) -> str:
    """The type of the model that a value is of, if any."""
    enumeration = term.enumeration if isinstance(term, Column) else None
    if enumeration is not None:
        return f"{NAMESPACE}.{enumeration.name}"
    return f"{NAMESPACE}.Attributes" if term.type is Type.OPEN else ""


def _edm_type(name: str) -> Type:
    found = _EDM_TYPES.get(name)
    if found is not None:
        return found
    raise NotSupported(f"the type {name[:60]!r} is not supported here")


def _is_assignable(kind: Type, target: Type) -> bool:
    """Can values of a kind be cast to another, if they fit?"""
    if kind in {Type.NULL, Type.OPEN, Type.TEXTS}:
        return False
    return kind is target or Type.TEXT in {kind, target} or {kind, target} <= NUMBERS
