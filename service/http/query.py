"""Query parameters of GET endpoints: declared once, checked as fields of a request are, and described in the API."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from starlette.requests import Request

from service.error_registry import FieldInvalid, FieldUnknown


class Parameter(NamedTuple):
    """`schema` is a JSON schema: an enum, an integer with bounds, a string, or a list of strings (given repeatedly)."""

    name: str
    about: str
    schema: dict[str, Any]


def integer(name: str, about: str, *, least: int, most: int, default: int) -> Parameter:
    return Parameter(name, about, {"type": "integer", "minimum": least, "maximum": most, "default": default})


def text(name: str, about: str, bytes_max: int, pattern: str = "") -> Parameter:
    """`pattern` is for those who read the API; the endpoint itself says what else is wrong with a text."""
    schema = {"type": "string", "maxLength": bytes_max}
    return Parameter(name, about, {**schema, "pattern": pattern} if pattern else schema)


def texts(name: str, about: str, bytes_max: int, most: int) -> Parameter:
    items = {"type": "string", "minLength": 1, "maxLength": bytes_max}
    return Parameter(name, about, {"type": "array", "items": items, "maxItems": most})


def choice(name: str, about: str, *values: str) -> Parameter:
    """The default comes first."""
    return Parameter(name, about, {"enum": list(values), "default": values[0]})


class Query:
    """What a request gave, checked against what the endpoint takes."""

    def __init__(self, request: Request, parameters: Iterable[Parameter]) -> None:
        """Raises FieldUnknown, FieldInvalid."""
        self._schemas = {one.name: one.schema for one in parameters}
        self._given = request.query_params
        for name, _ in self._given.multi_items():
            if name not in self._schemas:
                raise FieldUnknown(field=name)
            if self._schemas[name].get("type") != "array" and len(self._given.getlist(name)) > 1:
                raise FieldInvalid(field=name, reason="is given more than once")

    def integer(self, name: str) -> int:
        """Raises FieldInvalid."""
        schema = self._schemas[name]
        given = self._given.get(name)
        if given is None:
            return int(schema["default"])
        least, most = schema["minimum"], schema["maximum"]
        if not (given.isascii() and given.isdigit() and len(given) <= len(str(most)) and least <= int(given) <= most):
            raise FieldInvalid(field=name, reason=f"must be an integer from {least} to {most}")
        return int(given)

    def text(self, name: str) -> str:
        """Empty when it was not given. Raises FieldInvalid."""
        return _checked(name, self._given.get(name, ""), self._schemas[name]["maxLength"])

    def texts(self, name: str) -> tuple[str, ...]:
        """Each once, in order. Raises FieldInvalid."""
        schema, given = self._schemas[name], self._given.getlist(name)
        if len(given) > schema["maxItems"]:
            raise FieldInvalid(field=name, reason=f"is given {len(given)} times, {schema['maxItems']} is the most")
        return tuple(dict.fromkeys(_checked(name, one, schema["items"]["maxLength"]) for one in given))

    def choice(self, name: str) -> str:
        """Raises FieldInvalid."""
        values = self._schemas[name]["enum"]
        given = self._given.get(name, values[0])
        if given not in values:
            raise FieldInvalid(field=name, reason=f"must be {' or '.join(values)}")
        return str(given)


def _checked(name: str, given: str, bytes_max: int) -> str:
    # What is not UTF-8 was replaced by Starlette, and names no lock that anybody meant.
    if "\ufffd" in given:
        raise FieldInvalid(field=name, reason="is not UTF-8")
    if len(given.encode()) > bytes_max:
        raise FieldInvalid(field=name, reason=f"has more than {bytes_max} bytes")
    return given
