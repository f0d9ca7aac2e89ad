"""Raft as operators see it: role, term, leader, how far every peer has come, and what happened lately."""

from typing import Literal

import msgspec

from service.decisions.member import Member
from service.raft.ready import Role

RoleName = Literal["leader", "follower", "candidate"]
_ROLES: dict[Role, RoleName] = {
    Role.LEADER: "leader",
    Role.FOLLOWER: "follower",
    # A pre-vote changes nothing that others see; its place in history says when one was held.
    Role.PRE_CANDIDATE: "candidate",
    Role.CANDIDATE: "candidate",
}


class Peer(msgspec.Struct, rename={"is_self": "self"}):
    """One member. `match`, `next` and `mode` are known to the leader only; `last_contact_ms` is the time since this
    node last heard from it, null before the first time."""

    is_self: bool
    name: str
    match: int | None
    next: int | None
    mode: str | None
    last_contact_ms: int | None


class Happened(msgspec.Struct):
    """A line of the role history; `at_ms` is wall-clock time since 1970."""

    at_ms: int
    term: int
    event: str


class Leadership(msgspec.Struct):
    node: str
    role: RoleName
    term: int
    leader: str | None
    leader_url: str | None
    commit_index: int
    applied_index: int
    last_index: int
    snapshot_index: int
    cluster_id: str
    peers: dict[str, Peer]
    history: list[Happened]


def of(member: Member, now_s: float) -> Leadership:
    """The state now; `now_s` is the event loop's time. `leader` is null while none is known."""
    core, soft = member.runner.core, member.runner.soft_state
    return Leadership(
        node=member.config.node_id,
        role=_ROLES[soft.role],
        term=soft.term,
        leader=soft.leader,
        leader_url=soft.leader,
        commit_index=core.log.commit,
        applied_index=member.runner.applied,
        last_index=core.log.last,
        snapshot_index=core.log.snapshot.index if core.log.snapshot else 0,
        cluster_id=member.machine.state.cluster_id,
        peers=_peers(member, now_s),
        history=[Happened(*moment) for moment in member.chronicle.history],
    )


def _peers(member: Member, now_s: float) -> dict[str, Peer]:
    states = member.runner.core.peer_states()
    peers = {}
    for url in member.config.members:
        known, connected = states.get(url), member.transport.peers.get(url)
        heard_at = connected.heard_at if connected is not None else 0.0
        peers[url] = Peer(
            is_self=url == member.config.self_url,
            name=member.name_of(url),
            match=known.match if known else None,
            next=known.next if known else None,
            mode=known.mode if known else None,
            last_contact_ms=round((now_s - heard_at) * 1000) if heard_at else None,
        )
    return peers
