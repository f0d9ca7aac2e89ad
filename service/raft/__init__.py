"""Raft as a pure core: see docs/explanation/raft.md, and start reading at `core`."""

from service.raft.config import Config as Config
from service.raft.core import Raft as Raft
from service.raft.ready import Ready as Ready
from service.raft.state import Stored as Stored
