"""A deterministic world for Raft cores: one seed decides every fault, delay and command.

Read `cluster` for how a run goes, `invariants` for what is proved after every step, `liveness` for what must
happen once the faults end.
"""
