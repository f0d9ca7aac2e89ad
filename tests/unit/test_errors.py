"""The registry of refusals: one file, from which the classes and the page are made."""

from pathlib import Path
from string import Formatter

import pytest

from service import error_registry, generate
from service.error_registry import BY_CODE, LockHeld
from service.errors import SimpulError
from service.store import registry
from service.store.bundle import sources_dir

ENTRIES = registry.read(sources_dir() / "errors.toml")
ASKS_FOR_AN_OPERATOR = {"store_refused", "cluster_foreign", "generation_exhausted", "script_absent"}
each_entry = pytest.mark.parametrize("entry", ENTRIES, ids=[entry.code for entry in ENTRIES])
GOOD = 'status = 409\ntitle = "T"\ndetail = "D {x} {y} {x}."\naction = "A"\nretry = "no"\n'


def test_the_classes_are_made_from_the_registry_as_it_is() -> None:
    path = Path(error_registry.__file__)
    assert path.read_text(encoding="utf-8") == generate.makers()[path](), "run make generate"


@each_entry
def test_every_entry_is_a_class_that_can_be_raised_and_read(entry: registry.ErrorEntry) -> None:
    in_advice = [name for _, name, _, _ in Formatter().parse(entry.action) if name]
    error = BY_CODE[entry.code](**dict.fromkeys([*entry.detail_fields, *in_advice], "?"), holders=[])
    assert (type(error).__name__, error.code, error.status) == (entry.class_name, entry.code, entry.status)
    assert (error.title, error.action, error.retry) == (entry.title, entry.action, entry.retry)
    assert error.detail == entry.detail.format(**dict.fromkeys(entry.detail_fields, "?"))
    assert str(error) == f"{error.code}: {error.detail} {error.advice}"
    assert "{" not in error.advice
    assert error.fields["holders"] == []


@each_entry
def test_every_entry_says_what_happened_and_what_to_do(entry: registry.ErrorEntry) -> None:
    assert 400 <= entry.status < 600
    assert entry.detail.endswith(".")
    assert entry.action.endswith(".")
    assert not entry.title.endswith(".")


@each_entry
def test_only_what_was_not_done_or_can_be_repeated_is_a_fault_of_ours(entry: registry.ErrorEntry) -> None:
    """A 4xx that says "later" is contention; a 5xx never says "no" unless an operator must act."""
    if entry.status >= 500 and entry.code not in ASKS_FOR_AN_OPERATOR:
        assert entry.retry in ("later", "same-id")


def test_a_class_without_its_fields_cannot_be_raised() -> None:
    with pytest.raises(TypeError):
        LockHeld()  # type: ignore[call-arg]


def test_every_class_is_a_refusal_with_a_code_of_its_own() -> None:
    assert all(issubclass(kind, SimpulError) for kind in BY_CODE.values())
    assert len(BY_CODE) == len(ENTRIES)


def test_an_entry_names_its_fields_once_and_in_order(tmp_path: Path) -> None:
    (tmp_path / "errors.toml").write_text(f"[lock_gone]\n{GOOD}")
    (entry,) = registry.read(tmp_path / "errors.toml")
    assert (entry.class_name, entry.detail_fields) == ("LockGone", ("x", "y"))


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        (f"[Lock-Gone]\n{GOOD}", "lower-case words"),
        ("[lock_gone]\n" + GOOD.replace("409", '"409"'), "has exactly"),
        ("[lock_gone]\n" + GOOD.replace('action = "A"\n', ""), "has exactly"),
        (f'[lock_gone]\n{GOOD}more = "x"\n', "has exactly"),
        ("[lock_gone]\n" + GOOD.replace('"no"', '"perhaps"'), "retry is"),
    ],
)
def test_an_entry_that_breaks_a_rule_is_refused_by_name(tmp_path: Path, text: str, refusal: str) -> None:
    (tmp_path / "errors.toml").write_text(text)
    with pytest.raises(ValueError, match=refusal) as refused:
        registry.read(tmp_path / "errors.toml")
    assert str(refused.value).lower().startswith("lock")
