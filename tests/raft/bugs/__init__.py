"""Known Raft bugs: each overrides one rule of the core. `tests.raft.mutants` says what catches it."""
