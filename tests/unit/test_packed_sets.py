"""Script sets as they travel in the Raft log: whatever was not packed by us is refused, at a bounded cost."""

import tracemalloc
import zlib
from dataclasses import replace

import msgspec
import pytest

from service.decisions.decide import REQUEST_BYTES_MAX
from service.store import bundle
from service.store.bundle import UNPACKED_BYTES_MAX, BundleError, pack, shipped, unpack

PUT = shipped().scripts["cache.put"]


def test_a_packed_set_is_the_same_set_again_with_all_that_a_caller_needs() -> None:
    again = unpack(pack(shipped()))
    assert again == shipped()
    assert again.scripts["cache.put"].args == PUT.args


def test_the_shipped_set_fits_into_one_decision() -> None:
    assert len(pack(shipped())) < REQUEST_BYTES_MAX // 2


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_set_that_was_cut_short_is_refused(share: float) -> None:
    packed = pack(shipped())
    with pytest.raises(BundleError, match="not a packed script set"):
        unpack(packed[: int(share * len(packed))])


@pytest.mark.parametrize("end", [1, 2, 4])
def test_even_when_only_the_check_sum_is_cut(end: int) -> None:
    with pytest.raises(BundleError, match="cut short"):
        unpack(pack(shipped())[:-end])


@pytest.mark.parametrize("packed", [b"no set", zlib.compress(b"\xc1"), zlib.compress(msgspec.msgpack.encode({}))])
def test_what_is_no_set_is_refused(packed: bytes) -> None:
    with pytest.raises(BundleError, match="not a packed script set"):
        unpack(packed)


@pytest.mark.parametrize("forged", [replace(PUT, source=PUT.source + " "), replace(PUT, sha="0" * 40)])
def test_a_source_that_does_not_have_its_hash_is_refused_by_name(forged: bundle.LuaScript) -> None:
    scripts = {**shipped().scripts, "cache.put": forged}
    with pytest.raises(BundleError, match=r"^cache\.put: the source does not have the hash"):
        unpack(pack(replace(shipped(), scripts=scripts)))


def test_the_version_is_computed_and_not_believed() -> None:
    assert unpack(pack(replace(shipped(), version="0" * 12))).version == shipped().version


@pytest.mark.parametrize("changes", [{"scripts": {}}, {"layout": 3}, {"reads": ()}])
def test_a_set_without_scripts_or_that_cannot_read_what_it_writes_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(BundleError, match="empty, or of a layout it cannot read"):
        unpack(pack(replace(shipped(), **changes)))  # type: ignore[arg-type]


def test_a_set_that_grows_beyond_its_bound_is_refused_before_it_has_grown() -> None:
    packed = pack(replace(shipped(), scripts={"cache.put": replace(PUT, source=" " * (16 * UNPACKED_BYTES_MAX))}))
    assert len(packed) < REQUEST_BYTES_MAX, "it would fit into the log"
    tracemalloc.start()
    try:
        with pytest.raises(BundleError, match="not a packed script set"):
            unpack(packed)
        assert tracemalloc.get_traced_memory()[1] < 3 * UNPACKED_BYTES_MAX
    finally:
        tracemalloc.stop()
