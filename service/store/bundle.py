"""The Lua sources as one script set: includes flattened, headers parsed, replies turned into constants, hashed.

A script's header is its contract and is checked, not trusted: KEYS and ARGV must be used exactly as declared. A code
that is not declared under Replies has no constant, which luacheck and Redis refuse. `docs/reference/lua.md` gives the
format.
"""

import hashlib
import re
import tomllib
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec

OK = "ok"
UNPACKED_BYTES_MAX = 4 << 20
"""What a packed script set may grow to: one that claims more is not ours."""


class BundleError(ValueError):
    """A Lua source breaks a rule of the bundle; the message names file and rule."""


WHERE_USED = "where used: "


class Argument(NamedTuple):
    name: str
    about: str
    repeats: bool
    """True for the last group of ARGV, sent once per item of a batch."""

    @property
    def is_optional(self) -> bool:
        """True for the last KEYS, which a call may leave out all together."""
        # Told in words: nodes of releases without such keys read the rest of a packed set all the same.
        return self.about.startswith(WHERE_USED)


class Reply(NamedTuple):
    code: str
    fields: str
    about: str


@dataclass(frozen=True, slots=True)
class LuaScript:
    """One flattened script. `sha` is what EVALSHA takes; `source` is what SCRIPT LOAD takes."""

    name: str
    summary: str
    promises: str
    keys: tuple[Argument, ...]
    args: tuple[Argument, ...]
    replies: tuple[Reply, ...]
    complexity: str
    retry: str
    source: str
    sha: str

    @property
    def writes(self) -> bool:
        return not self.retry.startswith("read-only")


@dataclass(frozen=True, slots=True)
class ScriptSet:
    """All scripts of one version. `version` names the contents, so equal sources are the same version anywhere.

    `layout` is the data layout that they write, `reads` are those that they can work on (lua/layout.toml).
    """

    version: str
    scripts: dict[str, LuaScript]
    layout: int
    reads: tuple[int, ...]


def sources_dir() -> Path:
    """The Lua sources: inside the package when installed from a wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "_lua"
    return installed if installed.is_dir() else package.parent / "lua"


@cache
def shipped() -> ScriptSet:
    """The script set this installation came with."""
    return build(sources_dir())


def build(root: Path) -> ScriptSet:
    """Flatten every lua/<noun>/<operation>.lua below root. Raises BundleError."""
    scripts = {}
    for path in sorted(root.glob("*/*.lua")):
        if path.parent.name != "lib":
            script = _script(root, path)
            scripts[script.name] = script
    if not scripts:
        raise BundleError(f"{root}: no scripts found")
    return _set_of(scripts, *_layouts(root / "layout.toml"))


def _set_of(scripts: dict[str, LuaScript], layout: int, reads: tuple[int, ...]) -> ScriptSet:
    # With what the headers declare, for callers go by it.
    lines = (f"{name} {scripts[name].sha} {scripts[name].keys} {scripts[name].args}\n" for name in sorted(scripts))
    contents = f"{layout} {reads}\n" + "".join(lines)
    return ScriptSet(hashlib.sha256(contents.encode()).hexdigest()[:12], scripts, layout, reads)


def _layouts(path: Path) -> tuple[int, tuple[int, ...]]:
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    writes, reads = document.get("writes", 0), document.get("reads")
    if not isinstance(reads, list) or not all(isinstance(layout, int) for layout in reads) or writes not in reads:
        raise BundleError(f"{path}: says 'writes = N' and 'reads = [N, ...]', N among them")
    return int(writes), tuple(reads)


class _Packed(msgspec.Struct, array_like=True):
    layout: int
    reads: tuple[int, ...]
    scripts: list[LuaScript]


def pack(script_set: ScriptSet) -> bytes:
    """The set as it travels in the Raft log: everything that is needed to run it and to call it."""
    packed = _Packed(script_set.layout, script_set.reads, list(script_set.scripts.values()))
    return zlib.compress(msgspec.msgpack.encode(packed), 9)


def unpack(data: bytes) -> ScriptSet:
    """The set that was packed; hashes are computed anew and not believed. Raises BundleError."""
    decompressor = zlib.decompressobj()
    try:
        found = msgspec.msgpack.decode(decompressor.decompress(data, UNPACKED_BYTES_MAX), type=_Packed)
    except (zlib.error, msgspec.DecodeError) as error:
        raise BundleError(f"not a packed script set: {error}") from None
    if not decompressor.eof or not found.scripts or found.layout not in found.reads:
        raise BundleError("not a packed script set: cut short, too large, empty, or of a layout it cannot read")
    for script in found.scripts:
        if script.sha != _sha_of(script.source):
            raise BundleError(f"{script.name}: the source does not have the hash {script.sha}")
    return _set_of({script.name: script for script in found.scripts}, found.layout, found.reads)


def _sha_of(source: str) -> str:
    return hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


def _script(root: Path, path: Path) -> LuaScript:
    name = f"{path.parent.name}.{path.stem}"
    header, body = _split_header(path)
    sections = _sections(name, header)
    keys = _arguments(name, _with_shared(root, name, sections["KEYS"]))
    args = _arguments(name, sections["ARGV"])
    flat, included = _flatten(root, path, body)
    replies = _replies(name, sections["Replies"], included)
    constants = "".join(f'local {reply.code.upper()} = "{reply.code}"\n' for reply in replies)
    source = f"-- {name}: flattened from lua/{path.parent.name}/{path.name}\n{constants}{flat}"
    _check_use(name, source, keys, args)
    return LuaScript(
        name=name,
        summary=sections["summary"],
        promises=sections["Promises"],
        keys=keys,
        args=args,
        replies=replies,
        complexity=sections["Complexity"],
        retry=sections["Retry"],
        source=source,
        sha=_sha_of(source),
    )


def _split_header(path: Path) -> tuple[list[str], str]:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    end = next((n for n, line in enumerate(lines) if not line.startswith("--") or line.startswith("--- @")), len(lines))
    return [line[2:].lstrip("-").rstrip() for line in lines[:end]], "".join(lines[end:])


_SECTIONS = ("Promises", "KEYS", "ARGV", "Replies", "Complexity", "Retry")


def _sections(name: str, header: list[str]) -> dict[str, str]:
    title = f" {name}: "
    if not header or not header[0].startswith(title):
        raise BundleError(f"{name}: the header starts with '--- {name}: what it does'")
    found: dict[str, list[str]] = {"summary": [header[0].removeprefix(title)]}
    current = "summary"
    for line in header[1:]:
        opened = re.match(rf" ({'|'.join(_SECTIONS)}):\s*(.*)", line)
        if opened:
            current = opened[1]
            found[current] = [opened[2]] if opened[2] else []
        elif line.startswith("     ") and found[current]:
            found[current][-1] += f" {line.strip()}"
        else:
            found[current].append(line)
    if tuple(found) != ("summary", *_SECTIONS):
        raise BundleError(f"{name}: the header has, in order, {', '.join(_SECTIONS)}")
    listed = ("KEYS", "ARGV", "Replies")
    return {
        part: ("\n" if part in listed else " ").join(line.strip() for line in lines) for part, lines in found.items()
    }


def _with_shared(root: Path, name: str, text: str) -> str:
    """The keys with those of a piece put in its place: `3-18 lib/topic`, which lists them in the same form."""
    out = []
    for line in text.splitlines():
        shared = re.fullmatch(r"\d+-\d+ (lib/\w+)", line)
        if shared is None:
            out.append(line)
            continue
        path = root / f"{shared[1]}.lua"
        if not path.is_file():
            raise BundleError(f"{name}: takes the keys of {shared[1]}, which does not exist")
        out += re.findall(r"^--   (\d+[+?]? \w+: .+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return "\n".join(out)


def _arguments(name: str, text: str) -> tuple[Argument, ...]:
    found = []
    for position, line in enumerate(filter(None, text.splitlines()), 1):
        parts = re.match(r"(\d+)([+?]?) (\w+): (.+)", line)
        if not parts or int(parts[1]) != position:
            raise BundleError(f"{name}: '{line}' should read '{position} name: meaning, unit'")
        about = f"{WHERE_USED}{parts[4]}" if parts[2] == "?" else parts[4]
        found.append(Argument(parts[3], about, parts[2] == "+"))
    return tuple(found)


def _replies(name: str, text: str, included: list[Path]) -> tuple[Reply, ...]:
    """The script's own replies, then those its includes declare on a 'Replies:' line of their own."""
    found = []
    for line in filter(None, text.splitlines()):
        parts = re.match(r"([A-Z_]+)((?: [\w\[\].|]+)*)(?:: (.+))?$", line)
        if not parts:
            raise BundleError(f"{name}: reply '{line}' should read 'CODE field field: meaning'")
        found.append(Reply(parts[1].lower(), parts[2].strip(), parts[3] or ""))
    if not any(reply.code == OK for reply in found):
        raise BundleError(f"{name}: no OK reply is declared")
    for library in included:
        declared = re.search(r"^-- Replies: (.+)$", library.read_text(encoding="utf-8"), re.MULTILINE)
        for code in declared[1].split(", ") if declared else ():
            if all(reply.code != code.lower() for reply in found):
                found.append(Reply(code.lower(), "", f"from lib/{library.stem}"))
    return tuple(found)


def _flatten(root: Path, path: Path, body: str) -> tuple[str, list[Path]]:
    """Replace each '--- @include lib/x' line by that file's code, once, however often it is asked for."""
    included: list[Path] = []

    def expand(asker: Path, text: str) -> str:
        out = []
        for line in text.splitlines(keepends=True):
            asked = re.match(r"--- @include (\S+)\s*$", line)
            target = root / f"{asked[1]}.lua" if asked else None
            if target is None:
                out.append(line)
            elif not target.is_file():
                raise BundleError(f"{asker}: includes {target.relative_to(root)}, which does not exist")
            elif target not in included:
                included.append(target)
                out.append(expand(target, target.read_text(encoding="utf-8")))
        return "".join(out)

    return expand(path, body), included


def _check_use(name: str, source: str, keys: tuple[Argument, ...], args: tuple[Argument, ...]) -> None:
    code = re.sub(r"--[^\n]*", "", source)
    for table, declared in (("KEYS", keys), ("ARGV", args)):
        used = {int(number) for number in re.findall(rf"{table}\[(\d+)\]", code)}
        fixed = {position for position, argument in enumerate(declared, 1) if not argument.repeats}
        if used - set(range(1, len(declared) + 1)):
            raise BundleError(f"{name}: uses {table}[{max(used)}], which the header does not declare")
        if fixed - used:
            raise BundleError(
                f"{name}: never uses {table}[{min(fixed - used)}] ({declared[min(fixed - used) - 1].name})"
            )
    bound = re.findall(r"local (\w+) = (?:tonumber\()?(KEYS|ARGV)\[(\d+)\]", code)
    for local, table, number in bound:
        declared_name = (keys if table == "KEYS" else args)[int(number) - 1].name
        if local != declared_name:
            raise BundleError(f"{name}: {table}[{number}] is '{declared_name}' in the header and '{local}' in the code")
