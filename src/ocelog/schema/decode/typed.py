"""How a page becomes typed records in one call: msgspec structs compiled from a log schema."""

import keyword
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

import msgspec

from ocelog.schema.language.fields import (
    Array,
    Boolean,
    Field,
    Integer,
    Json,
    Object,
    Real,
    Text,
    Timestamp,
    Type,
)

Record: TypeAlias = Any
"""An instance of a compiled struct. Timestamps are RFC 3339 text in it, `json` fields are msgspec.Raw."""

NO_JSON = msgspec.Raw(b"null")
"""What a `json` field holds that is null or missing."""


def attribute(name: str) -> str:
    """Return what the field `name` is called in a struct."""
    if name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("_"):
        return name
    return "_x" + name.encode().hex()


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The struct of an object, with the structs of the objects in it."""

    struct: type[msgspec.Struct]
    fields: tuple[Field, ...]
    attributes: tuple[str, ...]
    """By field, in the schema's order."""
    inner: "tuple[Layout | None, ...]"
    """By field: the layout of an object, or of the objects in a list. Such a field is kept as JSON text at first."""
    read: tuple[Callable[[bytes], list[Any]], ...]
    """By field: what reads a JSON array of its values."""

    def blank(self) -> Record:
        """Return a record without anything in it: it stands in for null, where members are read from all at once."""
        return self.struct(**{name: self.nothing(at) for at, name in enumerate(self.attributes)})

    def value(self, record: Record, path: str) -> Any:
        """Return what `record` has at `path`, such as `user.id`, which goes through no list."""
        name, _, rest = path.partition(".")
        at = next(at for at, field in enumerate(self.fields) if field.name == name)
        value, inner = getattr(record, self.attributes[at]), self.inner[at]
        if inner is None:
            return value
        (value,) = self.read[at](b"[%b]" % bytes(value))
        return None if value is None else inner.value(value, rest)

    def nothing(self, at: int) -> msgspec.Raw | None:
        """Return what the field at `at` holds where it is null."""
        return NO_JSON if isinstance(self.fields[at].type, Json) or self.inner[at] else None


def layout_of(fields: Sequence[Field], name: str = "Record") -> Layout:
    """Compile `fields` to structs.

    Nobody changes a record once it is read: several columns, hashes and threads look at it. Unknown fields fail: they
    are rare, and another reader takes care of them.
    """
    inner = tuple(_inner(field.type, f"{name}_{attribute(field.name)}") for field in fields)
    struct = msgspec.defstruct(
        name,
        [_member(field, layout) for field, layout in zip(fields, inner, strict=True)],
        rename={attribute(field.name): field.name for field in fields},
        kw_only=True,
        frozen=True,
        gc=False,
        omit_defaults=True,
        forbid_unknown_fields=True,
    )
    return Layout(
        struct=struct,
        fields=tuple(fields),
        attributes=tuple(attribute(field.name) for field in fields),
        inner=inner,
        read=tuple(_reader(field.type, layout) for field, layout in zip(fields, inner, strict=True)),
    )


def _reader(type_: Type, layout: Layout | None) -> Callable[[bytes], list[Any]]:
    value: Any = msgspec.Raw if isinstance(type_, Json) else _python_type(type_, layout) | None
    return msgspec.json.Decoder(list[value]).decode


def _inner(type_: Type, name: str) -> Layout | None:
    match type_:
        case Object(fields=fields):
            return layout_of(fields, name)
        case Array(element=element):
            return _inner(element, name)
        case _:
            return None


def _member(field: Field, layout: Layout | None) -> tuple[str, Any, Any] | tuple[str, Any]:
    if isinstance(field.type, Json) or layout is not None:
        return (attribute(field.name), msgspec.Raw, NO_JSON)
    type_ = _python_type(field.type, layout)
    if field.required:
        return (attribute(field.name), type_)
    return (attribute(field.name), type_ | None, None)


def _python_type(type_: Type, layout: Layout | None) -> Any:  # noqa: PLR0911  # one answer for each kind of field
    match type_:
        case Text(sent_as_boolean=True):
            return bool | str
        case Text() | Timestamp():
            return str
        case Integer(bits=bits):
            return Annotated[int, msgspec.Meta(ge=-(2 ** (bits - 1)), le=2 ** (bits - 1) - 1)]
        case Real():
            return float
        case Boolean():
            return bool
        case Json():
            return msgspec.Raw
        case Array(element=Json()):
            return list[msgspec.Raw]
        case Array(element=element):
            return list[_python_type(element, layout) | None]  # type: ignore[misc]  # a type made at run time
        case Object():
            assert layout is not None  # noqa: S101  # an object always has a layout; mypy cannot see it
            return layout.struct


def is_plain(fields: Sequence[Field]) -> bool:
    """Tell whether the structs of `fields` check all that the schema asks for, so that a page may be read at once."""
    return all(
        (_is_plain(field.type) or field.type == Text(sent_as_boolean=True))
        and not (field.required and isinstance(field.type, Json | Object | Array))
        for field in fields
    )


def _is_plain(type_: Type) -> bool:
    match type_:
        case Text(validate=validate, sent_as_boolean=sent_as_boolean):
            return validate is None and not sent_as_boolean
        case Timestamp(formats=formats):
            return formats == ("rfc3339",)
        case Array(element=Array() | Timestamp()):
            return False
        case Array(element=element):
            return _is_plain(element)
        case Object(fields=fields):
            return is_plain(fields) and all(_is_plain(field.type) for field in fields)
        case _:
            return True


def page_decoder(layout: Layout) -> Callable[[bytes], list[Record]]:
    """Return what decodes a JSON array of records whole; it raises where a single one does not fit."""
    return msgspec.json.Decoder(list[layout.struct]).decode  # type: ignore[name-defined]  # a type made at run time
