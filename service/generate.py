"""Makes the files that repeat what another file says: `make generate`, held current by a test.

lua/errors.toml       -> service/error_registry.py, docs/reference/errors.md
Lua script headers    -> docs/reference/scripts.md
service/config.py     -> docs/reference/configuration.md
HTTP endpoint table   -> docs/api_spec.yaml
"""

from collections.abc import Callable
from pathlib import Path

import yaml

from service.config import SETTINGS
from service.store.bundle import ScriptSet, shipped, sources_dir
from service.store.registry import ErrorEntry, read

ROOT = Path(__file__).resolve().parent.parent
RETRY_WORDS = {"no": "no", "later": "later, nothing was changed", "same-id": "with the same `request_id`"}


ERRORS_INTRO = """# Errors

Every refusal is an `application/problem+json` document (RFC 9457) with `type`, `title`, `status`, `detail`, `code`,
`action` and `retry`. `type` is a path that every node answers with the explanation below. *Retry* says whether the
same request may be sent again.

Made from `lua/errors.toml` by `make generate`.
"""
SCRIPTS_INTRO = """# Scripts

Every operation is one of these. `simpul scripts` lists them with their SHA; `simpul evalsha NAME` prints the
`redis-cli` line that runs one. The words are those of the headers in `lua/`, which tests hold equal to the code.

Made by `make generate`.
"""
CONFIGURATION_INTRO = """# Configuration

A node reads its settings once, from the environment. `simpul config` prints them with their present values. A value
that cannot be used ends the start with a line that names it.

Made from `service/config.py` by `make generate`.

| variable | default | unit | accepts | meaning and danger |
|---|---|---|---|---|
"""


def error_classes(entries: tuple[ErrorEntry, ...]) -> str:
    parts = [
        '"""Made from lua/errors.toml by `make generate`; do not edit."""\n\n'
        "from typing import Any\n\nfrom service.errors import SimpulError\n"
    ]
    for entry in entries:
        names = "".join(f"{name}: Any, " for name in entry.detail_fields)
        passed = "".join(f"{name}={name}, " for name in entry.detail_fields)
        star = "*, " if names else ""
        parts.append(
            f"\n\nclass {entry.class_name}(SimpulError):\n"
            f'    """{entry.title}."""\n\n'
            f'    code = "{entry.code}"\n    status = {entry.status}\n    title = "{entry.title}"\n'
            f"    detail_template = (\n        {entry.detail!r}\n    )\n"
            f"    action = (\n        {entry.action!r}\n    )\n"
            f'    retry = "{entry.retry}"\n\n'
            f"    def __init__(self, {star}{names}**shown: Any) -> None:\n"
            f"        super().__init__({passed}**shown)\n"
        )
    listed = "".join(f"    {entry.class_name}.code: {entry.class_name},\n" for entry in entries)
    parts.append(f"\n\nBY_CODE: dict[str, type[SimpulError]] = {{\n{listed}}}\n")
    return "".join(parts)


def errors_page(entries: tuple[ErrorEntry, ...]) -> str:
    parts = [ERRORS_INTRO]
    for entry in entries:
        detail = entry.detail.replace("{", "*").replace("}", "*")
        parts.append(
            f"\n## {entry.code}\n\n**{entry.status} {entry.title}.** {detail}\n\n"
            f"What to do: {entry.action}\n\nRetry: {RETRY_WORDS[entry.retry]}.\n"
        )
    return "".join(parts)


def scripts_page(script_set: ScriptSet) -> str:
    parts = [SCRIPTS_INTRO]
    for script in script_set.scripts.values():
        parts.append(f"\n## {script.name}\n\n{script.summary.capitalize()}\n\n{script.promises}\n\n")
        for title, arguments in (("KEYS", script.keys), ("ARGV", script.args)):
            parts.append(f"| {title} | name | meaning |\n|---|---|---|\n")
            for number, argument in enumerate(arguments, 1):
                parts.append(f"| {number}{'+' * argument.repeats} | {argument.name} | {argument.about} |\n")
            parts.append("\n")
        parts.append("| reply | fields | meaning |\n|---|---|---|\n")
        for reply in script.replies:
            fields = f"`{reply.fields}`" if reply.fields else ""
            about = reply.about.replace("|", "or")
            parts.append(f"| {reply.code} | {fields.replace('|', ' ')} | {about} |\n")
        parts.append(f"\nComplexity: {script.complexity}. Retry: {script.retry}.\n")
    return "".join(parts)


def configuration_page() -> str:
    parts = [CONFIGURATION_INTRO]
    for setting in SETTINGS:
        default = f"`{setting.default}`" if setting.default else "empty"
        parts.append(f"| `{setting.env}` | {default} | {setting.unit} | {setting.accepts} | {setting.about} |\n")
    return "".join(parts)


def api_document() -> str:
    # Not before the error classes are made, which everything in service/http imports: a new code must be makeable.
    from service.http.app import OPERATIONS  # noqa: PLC0415
    from service.http.openapi import document  # noqa: PLC0415
    from service.http.pages import PAGES  # noqa: PLC0415

    text = yaml.safe_dump(document(OPERATIONS, PAGES), sort_keys=False, width=120, allow_unicode=True)
    return f"# Made from service/http by `make generate`; served as JSON at /openapi.json.\n{text}"


def makers() -> dict[Path, Callable[[], str]]:
    """Every generated file and what makes it, in the order in which they are needed."""
    entries = read(sources_dir() / "errors.toml")
    return {
        ROOT / "service/error_registry.py": lambda: error_classes(entries),
        ROOT / "docs/reference/errors.md": lambda: errors_page(entries),
        ROOT / "docs/reference/scripts.md": lambda: scripts_page(shipped()),
        ROOT / "docs/reference/configuration.md": configuration_page,
        ROOT / "docs/api_spec.yaml": api_document,
    }


def main() -> None:
    for path, make in makers().items():
        text = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
