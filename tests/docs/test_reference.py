"""What the pages say of fields, limits, metrics and codes is what the code says."""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from service import config, limits
from service.assembly import assemble
from service.atomic.wire import GroupOperation
from service.decisions.replicated.commands import CLUSTER_SETTINGS
from service.error_registry import BY_CODE
from service.http.app import OPERATIONS
from service.http.metrics import registry
from service.http.operation import Operation
from service.http.pages import PAGES as GET_PAGES
from service.queue.wire import OutgoingMessage
from service.store.bundle import shipped
from tests.docs.pages import Page, all_pages, page, table

API = page("docs/reference/api.md")
PAGES = all_pages()
ERROR_LINK = re.compile(r"\[(\w+)\]\(errors\.md#(\w+)\)")
LIMITS = {name: value for name, value in vars(limits).items() if name.isupper()}

OTHER_WORDS = {
    # what Redis and redis-py call things, and options of REDIS_URL
    *("run_id", "sentinel_username", "sentinel_password", "ssl_ca_certs"),
    # names in the sources that explanations speak of
    *("make_ready", "drop_oldest"),
    *("counter_is_lost", "describe_holders", "judge_delivery", "keep_outcome", "first_outcome", "now_ms"),
    *("turn_to", "wait_all", "let_go"),
    *(
        "let_go",
        "parse_hold",
        "parse_record",
        "own_hold",
        "look_at_hold",
        "has_permits",
        "write_hold",
        "end_hold",
        "hand_over",
    ),
    *("parse_detail", "new_record", "parse_waiter", "leave_line", "refuse_with_holders"),
    *("quarantine_left", "lift_quarantine", "redis_now_ms"),
    *("parse_marks", "entry_version", "read_head", "names_are_kept", "keep_name"),
    *("version_against", "next_version", "write_entry", "remove_entry", "give_tag", "parse_operation", "check_hold"),
    # fields of a refusal that its sentence does not speak of
    "held_mode",
    # what an event tells beside its fields
    "because_of",
    # a field of one refusal that its sentence does not speak of
    "waits_for",
    # fields of the Raft core's own configuration
    *("election_ticks", "snapshot_retry_ticks", "trailing_entries"),
    # variables of the compose file
    "LD_PRELOAD",
    "SIMPUL_REDIS_IMAGE",
}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.path)
def test_the_table_of_an_operation_is_its_request_type(operation: Operation) -> None:
    section = API.section(f"POST {operation.path}")
    _assert_fields(table(section.partition("Errors of its own")[0]), operation.request)
    if operation.variant:
        other = section.partition("**Several locks")[2]
        assert other, "the other form is described"
        _assert_fields(table(other), operation.variant.request)
    own = {code for code, _ in ERROR_LINK.findall(section.partition("Errors of its own:")[2].partition("\n")[0])}
    assert own == {error.code for error in operation.errors}


def test_the_table_of_a_message_in_a_batch_is_its_type() -> None:
    _assert_fields(table(API.section("POST /queue/publish").partition("Each item of")[2]), OutgoingMessage)


@pytest.mark.parametrize("kind", get_args(GroupOperation), ids=lambda kind: str(kind.__struct_config__.tag))
def test_the_table_of_an_operation_in_a_group_is_its_type(kind: type[msgspec.Struct]) -> None:
    _, found, below = API.section("POST /atomic").partition(f"**`{kind.__struct_config__.tag}`**")
    assert found, "it is described"
    _assert_fields(table(below.partition("**`")[0]), kind)


def _assert_fields(rows: list[dict[str, str]], kind: type[msgspec.Struct]) -> None:
    _, components = msgspec.json.schema_components([kind])
    schema: dict[str, Any] = components[kind.__name__]
    described = {row["field"]: row for row in rows}
    assert list(described) == list(schema["properties"])
    for name, row in described.items():
        about = schema["properties"][name]
        about = next((one for one in about.get("anyOf", ()) if one.get("type") != "null"), about)
        assert row["range"] == _range(name, about), name
        assert row["default"] == _default(name, schema), name


_WORDS = {
    "boolean": "false, true",
    "object": "one of each resource",
}
_PAYLOADS = {
    "data": limits.PAYLOAD_BYTES_MAX,
    "value": limits.PAYLOAD_BYTES_MAX,
    "metadata": limits.LOCK_METADATA_BYTES_MAX,
}


def _range(name: str, about: dict[str, Any]) -> str:
    if "type" not in about and "enum" not in about:
        return f"up to {_PAYLOADS[name]} bytes"
    if "maxProperties" in about:
        return f"up to {about['maxProperties']} texts"
    if about.get("type") in _WORDS:
        return _WORDS[about["type"]]
    if "enum" in about:
        return ", ".join(sorted(about["enum"]))
    return _range_of_type(about)


def _range_of_type(about: dict[str, Any]) -> str:
    if about["type"] == "array":
        return f"{about['minItems']}-{about['maxItems']} items"
    if about["type"] == "string":
        unit = "bytes" if about["maxLength"] == limits.NAME_BYTES_MAX else "characters"
        return f"{about['minLength']}-{about['maxLength']} {unit}"
    return f"{about['minimum']}-{int(about['maximum'])}"


def _default(name: str, schema: dict[str, Any]) -> str:
    if name in schema.get("required", ()):
        return "required"
    value = schema["properties"][name].get("default")
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def test_every_endpoint_is_described() -> None:
    for operation in OPERATIONS:
        assert f"`POST {operation.path}`" in API.text
    for one in GET_PAGES:
        assert f"`GET {one.path}`" in API.text


def test_every_error_is_mentioned_in_the_api() -> None:
    assert {code for code, _ in ERROR_LINK.findall(API.text)} == set(BY_CODE)


def test_the_limits_are_those_of_the_code() -> None:
    rows = table(API.section("Limits"))
    assert {row["limit"]: float(row["value"]) for row in rows} == {name: float(value) for name, value in LIMITS.items()}


def test_the_numbers_of_the_decisions_are_those_of_the_code() -> None:
    rows = table(page("docs/explanation/decisions.md").section("Every number"))
    assert rows
    for row in rows:
        assert _in_base_unit(row["value"]) == _number_from(row["from"]), row["number"]
    assert {row["from"] for row in rows} >= set(CLUSTER_SETTINGS), "every setting of the cluster is there"


def _in_base_unit(text: str) -> float:
    value, _, unit = text.partition(" ")
    assert unit in ("", "s"), text
    return float(value)


def _number_from(source: str) -> float:
    """A setting of the cluster or of a node, or a constant by its dotted name; milliseconds as seconds."""
    if source in CLUSTER_SETTINGS:
        value: Any = CLUSTER_SETTINGS[source].default
    elif source.startswith("service."):
        module, _, name = source.rpartition(".")
        value = getattr(import_module(module), name)
    else:
        value = next(one.default for one in config.SETTINGS if one.env == source)
    return float(value) / 1000 if source.lower().endswith("_ms") else float(value)


def test_the_settings_of_the_cluster_have_these_bounds() -> None:
    _, _, below = API.section("POST /cluster/settings").partition("Errors of its own")
    rows = table(below)
    shown = {row["setting"]: (row["range"], row["default"]) for row in rows}
    assert shown == {n: (f"{one.least}-{one.most}", str(one.default)) for n, one in CLUSTER_SETTINGS.items()}


def test_the_metrics_are_those_of_a_node(tmp_path: Path) -> None:
    context = assemble(config.load({"SIMPUL_DATA": str(tmp_path)}))
    found = {}
    for family in registry(context).collect():
        if family.name.startswith("simpul_"):
            labels: Any = getattr(family, "_labelnames", ())
            name = f"{family.name}_total" if family.type == "counter" else family.name
            found[name] = (family.type, ", ".join(labels))
    rows = table(page("docs/reference/metrics.md").text)
    assert {row["metric"]: (row["type"], row["labels"]) for row in rows} == found


def test_every_error_code_shown_exists() -> None:
    for one in PAGES:
        for code in re.findall(r'"code":"(\w+)"|/problems/(\w+)|errors\.md#(\w+)', one.text):
            assert max(code) in BY_CODE, f"{one.name}: {max(code)}"


@pytest.mark.parametrize("one", PAGES, ids=lambda one: one.name)
def test_every_name_in_backticks_exists(one: Page) -> None:
    """Fields, codes, metrics and settings are spelled as they are: a reader will copy them."""
    texts = [re.sub(r"[\w/]+[./][\w./]+", "", text) for text in re.findall(r"`([^`\n]+)`", one.prose)]  # files, modules
    quoted = {word for text in texts for word in re.findall(r"[A-Za-z_]+", text)}
    lower = {word for word in quoted if re.fullmatch(r"[a-z]+(_[a-z]+)+", word)}
    upper = {word for word in quoted if re.fullmatch(r"[A-Z]+(_[A-Z]+)+", word)}
    known = {*_known_words(), *OTHER_WORDS}
    assert not lower - known
    assert not upper - known - {word.upper() for word in BY_CODE} - set(LIMITS) - {one.env for one in config.SETTINGS}


def _known_words() -> Iterator[str]:
    yield from BY_CODE
    yield from CLUSTER_SETTINGS
    kinds = [kind for operation in OPERATIONS for kind in (operation.request, *operation.replies)]
    kinds += [operation.variant.request for operation in OPERATIONS if operation.variant]
    kinds += [one.reply for one in GET_PAGES if not isinstance(one.reply, str)]
    yield from (parameter.name for one in GET_PAGES for parameter in one.parameters)
    _, components = msgspec.json.schema_components(kinds)
    for about in components.values():
        yield from about.get("properties", ())
    for error in BY_CODE.values():
        yield from re.findall(r"{(\w+)}", error.detail_template)
    for script in shipped().scripts.values():
        yield from (argument.name for argument in (*script.keys, *script.args))
        yield from re.findall(r"\w+", " ".join(reply.fields for reply in script.replies))
    yield from (row["metric"] for row in table(page("docs/reference/metrics.md").text))
