"""What a publish request becomes: checked messages, and arguments of queue.publish."""

from typing import Any

import msgspec

from service.error_registry import FieldInvalid, FieldMissing, PayloadTooLarge
from service.limits import HEADERS_BYTES_MAX
from service.names import encode_name
from service.payload import check_payload
from service.queue.wire import OutgoingMessage, PublishRequest

_encode = msgspec.json.Encoder().encode
_pack = msgspec.msgpack.Encoder().encode


def messages_of(request: PublishRequest) -> tuple[list[OutgoingMessage], bool]:
    """The messages of the request and whether it came as a batch; ids are checked, payloads are not yet."""
    if isinstance(request.messages, list):
        if _says_more(request):
            raise FieldInvalid(
                field="messages", reason="cannot be combined with data or what belongs to one message; put it inside"
            )
        _check_ids(request.messages)
        return request.messages, True
    if not isinstance(request.data, msgspec.Raw):
        raise FieldMissing(field="data")
    if request.id is not None:
        encode_name("id", request.id)
    message = OutgoingMessage(
        request.data, request.id, request.delay_ms, request.priority, request.ttl_ms, request.key, request.headers
    )
    return [message], False


def _says_more(request: PublishRequest) -> bool:
    given = (request.id, request.delay_ms, request.priority, request.ttl_ms, request.key, request.headers)
    return isinstance(request.data, msgspec.Raw) or any(given)


def _check_ids(messages: list[OutgoingMessage]) -> None:
    places: dict[str, int] = {}
    for position, message in enumerate(messages):
        if message.id is None:
            continue
        encode_name(f"messages[{position}].id", message.id)
        if places.setdefault(message.id, position) != position:
            raise FieldInvalid(
                field=f"messages[{position}].id", reason=f"is the id of messages[{places[message.id]}], too"
            )


def arguments(messages: list[OutgoingMessage], ids: list[str], *, is_batch: bool) -> list[Any]:
    """Options, then three values a message. Raises FieldInvalid, PayloadTooLarge, naming the field."""
    args: list[Any] = [b""]
    options: list[Any] | None = None
    for position, message in enumerate(messages):
        at = f"messages[{position}]." if is_batch else ""
        args += (ids[position], message.delay_ms or b"0", check_payload(at + "data", message.data))
        option = option_of(at, message)
        if option is not None:
            options = options or [None] * len(messages)
            options[position] = option
    if options is not None:
        args[0] = _pack(options)
    return args


def option_of(at: str, message: OutgoingMessage) -> tuple[int, int, str, str] | None:
    """What a message has beside its data, None for nothing; as texts: the packer of scripts knows no other bytes.
    `at` stands before the field that a refusal names. Raises FieldInvalid, PayloadTooLarge."""
    if not (message.priority or message.ttl_ms or message.key is not None or message.headers):
        return None
    key = message.key or ""
    if message.key is not None:
        encode_name(f"{at}key", key)
    headers = ""
    if message.headers:
        for name, value in message.headers.items():
            if any("\ud800" <= letter <= "\udfff" for letter in name + value):
                raise FieldInvalid(field=f"{at}headers", reason="holds half of a surrogate pair, which is no character")
        encoded = _encode(message.headers)
        if len(encoded) > HEADERS_BYTES_MAX:
            raise PayloadTooLarge(field=f"{at}headers", size_bytes=len(encoded), limit_bytes=HEADERS_BYTES_MAX)
        headers = encoded.decode()
    return message.priority, message.ttl_ms or 0, key, headers
