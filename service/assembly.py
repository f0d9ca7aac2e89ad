"""The parts of one node, put together: who is given whom, and who hears of what."""

from dataclasses import dataclass

from service.atomic import Groups
from service.cache import Auditor, Caches, Keeper, Names, NearCache
from service.config import Config
from service.decisions.authority import Authority
from service.decisions.member import Member
from service.decisions.node.fence import Fence
from service.duties import Duty, Round
from service.duties.quarantine import LiftQuarantine
from service.duties.queues import TendQueues
from service.duties.recording import RecordEvents
from service.duties.schedules import FireSchedules
from service.http.context import Context
from service.keys import Keys
from service.lock import Locks
from service.lock.deadlock.parts import Deadlocks
from service.lock.forcing import Forcing
from service.lock.listing import Listing
from service.lock.waiting import EVERY, Waiting
from service.lock.watching import Watching
from service.queue import Administration, Queues, Subscriptions, Timetable
from service.queue.takers import Takers
from service.queue.topics import Topics
from service.store.bundle import shipped
from service.store.primaries import Primaries, primaries_of
from service.store.scripts import Scripts
from service.store.subscriber import Subscriber

DUE = b"@"
"""Published before the key of what is due in a partition: something is, sooner than its owner thinks."""


@dataclass(frozen=True, slots=True)
class _Ground:
    """What locks, queues and caches stand on."""

    config: Config
    keys: Keys
    member: Member
    fence: Fence
    authority: Authority
    primaries: Primaries
    scripts: Scripts


def assemble(config: Config) -> Context:
    ground = _ground(config)
    keys, scripts, authority, primaries = ground.keys, ground.scripts, ground.authority, ground.primaries
    keep_ms = config.outcome_keep_ms
    deadlocks = Deadlocks(config.self_url, ground.member.runner, config.cluster_secret, scripts, keys)
    waiting = Waiting(scripts, keys, deadlocks.teller)
    near = NearCache(
        entries_max=config.near_entries_max, bytes_max=config.near_bytes_max, bound_ms=config.near_stale_ms
    )
    keeper = Keeper(scripts, keys, near)
    cache_names = Names(scripts, keys, primaries)
    caches = Caches(scripts, keys, near, keeper, cache_names, outcome_keep_ms=keep_ms)
    topics = Topics(scripts, keys, keep_ms)
    takers = Takers(scripts, keys)
    queues = Queues(scripts, topics, takers)
    administration = Administration(scripts, topics, authority.owner_of)
    on_due: dict[bytes, Duty] = {
        b"due": TendQueues(scripts, topics, administration),
        b"timetable": FireSchedules(scripts, topics),
    }
    duties = _duties(ground, on_due)

    def heard_again() -> None:
        near.turn_on()
        waiting.attend_now()
        takers.wake_all()
        duties.look()
        watching.read_now()

    subscriber = Subscriber(
        primaries.heard_at,
        client_name=f"simpul-{config.node_id}-sub",
        timeout_s=config.store_timeout_ms / 1000,
        on_up=heard_again,
        on_down=near.turn_off,
    )
    primaries.on_routes(lambda: subscriber.stay_with(link.address for link in primaries.links))
    locks = _locks(ground, waiting)
    watching = Watching(scripts, keys, subscriber, locks)
    context = Context(
        config=config,
        authority=authority,
        duties=duties,
        primaries=primaries,
        subscriber=subscriber,
        scripts=scripts,
        waiting=waiting,
        takers=takers,
        deadlocks=deadlocks,
        watching=watching,
        near=near,
        keeper=keeper,
        cache_names=cache_names,
        auditor=Auditor(scripts, keys, near, per_s=config.near_audit_per_s),
        locks=locks,
        listing=Listing(primaries, keys, locks),
        forcing=_forcing(ground, waiting, locks),
        queues=queues,
        administration=administration,
        subscriptions=Subscriptions(topics),
        timetable=Timetable(scripts, topics, keep_ms),
        caches=caches,
        groups=Groups(scripts, keys, queues, topics, near, outcome_keep_ms=keep_ms),
    )
    _listen(ground, context, on_due)
    return context


def _ground(config: Config) -> _Ground:
    keys = Keys(config.cluster_name)
    member = Member(config)
    fence = Fence(member.machine)
    authority = Authority(config, member, fence, keys, shipped())
    primaries = primaries_of(
        config.redis_url,
        keys=keys,
        client_name=f"simpul-{config.node_id}",
        in_flight_max=config.store_in_flight_max,
        timeout_s=config.store_timeout_ms / 1000,
        gate=fence,
    )
    scripts = Scripts(primaries, fence)
    authority.connect(primaries, scripts)
    return _Ground(config, keys, member, fence, authority, primaries, scripts)


def _duties(ground: _Ground, on_due: dict[bytes, Duty]) -> Round:
    machine, scripts, keys = ground.member.machine, ground.scripts, ground.keys
    always = (LiftQuarantine(scripts, keys), RecordEvents(scripts, machine))
    return Round(ground.config.self_url, machine, keys, [*always, *on_due.values()])


def _locks(ground: _Ground, waiting: Waiting) -> Locks:
    authority = ground.authority
    return Locks(
        ground.scripts,
        ground.keys,
        waiting,
        delegation=authority.delegation,
        leases=authority.leases,
        witnesses=authority.witnesses,
        forced=authority.forced,
        outcome_keep_ms=ground.config.outcome_keep_ms,
    )


def _forcing(ground: _Ground, waiting: Waiting, locks: Locks) -> Forcing:
    return Forcing(
        ground.scripts,
        ground.keys,
        waiting,
        locks,
        decisions=ground.member.decisions,
        forced=ground.authority.forced,
        leases=ground.authority.leases,
    )


def _listen(ground: _Ground, context: Context, on_due: dict[bytes, Duty]) -> None:
    """Everybody to what concerns it: publications of scripts, and generations."""
    waiting, watching, takers, duties = context.waiting, context.watching, context.takers, context.duties

    def heard_wake(key: bytes) -> None:
        if key.startswith(DUE):
            prefix, _, kind = key.removeprefix(DUE).rpartition(b":")
            if kind in on_due:
                duties.look_at(on_due[kind], prefix)
            return
        waiting.heard_wake(key)
        watching.heard_wake(key)
        if key.startswith(EVERY):
            duties.look()

    subscriber = context.subscriber
    subscriber.hear(ground.keys.wake_channel, heard_wake)
    subscriber.hear(waiting.channel, waiting.heard_grant)
    subscriber.hear(takers.channel, takers.heard)
    subscriber.hear(ground.keys.invalidate_channel, context.caches.listener())
    for begin_anew in (takers.wake_all, context.near.begin_anew, waiting.begin_anew, watching.begin_anew):
        ground.fence.on_generation(begin_anew)
