"""What the endpoints of one node work with."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from service.atomic import Groups
from service.cache import Auditor, Caches, Keeper, Names, NearCache
from service.config import Config
from service.decisions.authority import Authority
from service.decisions.member import Member
from service.duties import Round
from service.histogram import LatencyHistogram
from service.lock import Locks
from service.lock.deadlock.parts import Deadlocks
from service.lock.forcing import Forcing
from service.lock.listing import Listing
from service.lock.waiting import Waiting
from service.lock.watching import Watching
from service.queue import Administration, Queues, Subscriptions, Timetable
from service.queue.takers import Takers
from service.store.primaries import Primaries
from service.store.scripts import Scripts
from service.store.subscriber import Subscriber


@dataclass(slots=True)
class Traffic:
    """What this node answered: time by endpoint, count by endpoint and status, event-loop lag."""

    latency: defaultdict[str, LatencyHistogram] = field(default_factory=lambda: defaultdict(LatencyHistogram))
    answers: defaultdict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    loop_lag: LatencyHistogram = field(default_factory=LatencyHistogram)
    in_flight: int = 0


@dataclass(frozen=True, slots=True)
class Context:
    config: Config
    authority: Authority
    duties: Round
    primaries: Primaries
    subscriber: Subscriber
    scripts: Scripts
    waiting: Waiting
    takers: Takers
    deadlocks: Deadlocks
    watching: Watching
    near: NearCache
    keeper: Keeper
    cache_names: Names
    auditor: Auditor
    locks: Locks
    listing: Listing
    forcing: Forcing
    queues: Queues
    administration: Administration
    subscriptions: Subscriptions
    timetable: Timetable
    caches: Caches
    groups: Groups
    traffic: Traffic = field(default_factory=Traffic)

    @property
    def member(self) -> Member:
        return self.authority.member
