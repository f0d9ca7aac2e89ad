"""Operations on locks, topics and cache keys of one partition, done together or not at all."""

from service.atomic.groups import Groups
from service.atomic.wire import AtomicDone, AtomicRequest

__all__ = ["AtomicDone", "AtomicRequest", "Groups"]
