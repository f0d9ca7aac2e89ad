"""Deadlocks: the rules against an oracle, and real clusters against what their clients saw."""
