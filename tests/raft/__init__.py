"""Proof of the Raft core: simulator, mutants, scenarios, transcripts."""
