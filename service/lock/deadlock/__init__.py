"""Deadlocks: who waits for whom, over all partitions and nodes; found by the leader, decided by pure rules.

`graph` and `cycles` are the rules, without any IO. `told` is what nodes say to the leader. `telling` is every node's
part, `table` and `watch` are the leader's.
"""
