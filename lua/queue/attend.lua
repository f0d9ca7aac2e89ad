--- queue.attend: keep the consumers that a node parks in the lines of a partition.
-- Promises: they stand in line for as long as the session lives.
-- KEYS:
--   1 fence: the partition's fence
--   2 sessions: sessions of nodes with parked requests by their end, a sorted set
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 session: of the node, hexadecimal
--   3 session_ms: how long it lives from now, ms
-- Replies:
--   OK is_new: 1 when the session had ended, and its consumers may be gone
-- Complexity: O(log s) with s sessions
-- Retry: safe
--- @include lib/fence
--- @include lib/clock
local sessions, session, session_ms = KEYS[2], ARGV[2], ARGV[3]
local is_new = tonumber(redis.call("ZSCORE", sessions, session) or 0) <= now_ms
redis.call("ZADD", sessions, now_ms + session_ms, session)
redis.call("PEXPIRE", sessions, session_ms)
return { OK, is_new and 1 or 0 }
