"""How a page becomes typed records in one call: msgspec structs compiled from a log schema."""

import keyword
from collections.abc import Callable, Sequence
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


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """The struct of an object, with the structs of the objects in it."""

    struct: type[msgspec.Struct]
    fields: tuple[Field, ...]
    attributes: tuple[str, ...]
    """By field, in the schema's order."""
    inner: "tuple[Layout | None, ...]"
    """By field: the layout of an object, or of the objects in a list. Such a field is kept as JSON text at first."""
    decoders: tuple[Callable[[bytes], list[Any]], ...]
    """By field: what decodes a JSON array of its values."""

    def null_object(self) -> Record:
        """Return an object without members: it stands for null if members of many objects are read at once."""
        return self.struct(**{name: self.null(at) for at, name in enumerate(self.attributes)})

    def value(self, record: Record, path: str) -> Any:
        """Return what `record` has at `path`, such as `user.id`, which goes through no list."""
        name, _, rest = path.partition(".")
        at = next(at for at, field in enumerate(self.fields) if field.name == name)
        value, inner = getattr(record, self.attributes[at]), self.inner[at]
        if inner is None:
            return value
        (value,) = self.decoders[at](b"[%b]" % bytes(value))
        return None if value is None else inner.value(value, rest)

    def null(self, at: int) -> msgspec.Raw | None:
        """Return what the field at `at` holds if it is null."""
        return NO_JSON if isinstance(self.fields[at].type, Json) or self.inner[at] else None


def layout_of(fields: Sequence[Field], name: str = "Record") -> Layout:
    """Compile `fields` to structs.

    Records are frozen, since columns, hashes and rows are all made of the same ones. Unknown fields fail: they are
    rare, and are read record by record.
    """
    inner = tuple(_inner(field.type, f"{name}_{attribute(field.name)}") for field in fields)
    members: list[tuple[str, Any, Any] | tuple[str, Any]] = []
    decoders: list[Callable[[bytes], list[Any]]] = []
    for field, layout in zip(fields, inner, strict=True):
        type_: Any = _python_type(field.type, layout)
        nullable = type_ if isinstance(field.type, Json) else type_ | None
        if isinstance(field.type, Json) or layout is not None:
            members.append((attribute(field.name), msgspec.Raw, NO_JSON))
        elif field.required:
            members.append((attribute(field.name), type_))
        else:
            members.append((attribute(field.name), nullable, None))
        decoders.append(msgspec.json.Decoder(list[nullable]).decode)  # type: ignore[valid-type]  # made at run time
    return Layout(
        struct=msgspec.defstruct(
            name,
            members,
            rename={attribute(field.name): field.name for field in fields},
            kw_only=True,
            frozen=True,
            gc=False,
            omit_defaults=True,
            forbid_unknown_fields=True,
        ),
        fields=tuple(fields),
        attributes=tuple(attribute(field.name) for field in fields),
        inner=inner,
        decoders=tuple(decoders),
    )


def _inner(type_: Type, name: str) -> Layout | None:
    match type_:
        case Object(fields=fields):
            return layout_of(fields, name)
        case Array(element=element):
            return _inner(element, name)
        case _:
            return None


def _python_type(type_: Type, layout: Layout | None) -> Any:  # one answer for each kind of field
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
    """Return what decodes a JSON array of records whole; it raises if a single one does not fit."""
    return msgspec.json.Decoder(list[layout.struct]).decode  # type: ignore[name-defined]  # a type made at run time


def record_decoder(layout: Layout) -> Callable[[bytes], Record]:
    """Return what decodes one record; it raises if that does not fit."""
    return msgspec.json.Decoder(layout.struct).decode
