"""Which node leads, as /raft/state tells it."""

from typing import Literal, NamedTuple

from service.config import Config


class Leadership(NamedTuple):
    role: Literal["leader", "follower", "candidate"]
    term: int
    leader_url: str


def configured(config: Config) -> Leadership:
    """The first member by URL leads, by configuration and for ever: term 0 says that no election was held."""
    leader_url = config.members[0]
    return Leadership("leader" if leader_url == config.self_url else "follower", 0, leader_url)
