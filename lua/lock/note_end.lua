--- lock.note_end: record that a hold has ended by itself, for nothing runs when Redis ends one.
-- Promises: recorded once, by whoever has read all that was recorded of the lock; a hold that runs, or that can still be
--   taken up in a quarantine, is left alone. Grants nothing and ends nothing.
-- KEYS:
--   1 fence: the partition's fence
--   2 quarantine: end of the quarantine and the token counter after it (see lib/quarantine)
--   3 lock: the hold, a string (see lib/hold)
--   4 readers: owners of shared holds by end of lease, a sorted set
--   5 reader_holds: token and lease of each shared hold, a hash
--   6 lock_events: what happened to locks, a stream while it is recorded (see lib/event)
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 owner: who held the lock
--   3 token: of the hold
--   4 mode: exclusive or shared
--   5 after: id of the entry up to which the caller has read, and found no end of the hold
-- Replies:
--   OK left_ms: look again after so long; 0: the hold has ended, and that stands in an entry after the one named
-- Complexity: O(log h) with h shared holders; looks at 256 entries
-- Retry: safe
--- @include lib/fence
--- @include lib/event
--- @include lib/own_hold
--- @include lib/quarantine
local lock, readers, owner, token = KEYS[3], KEYS[4], ARGV[2], ARGV[3]
local own = own_hold(lock, readers, KEYS[5], owner)
if own and own.token == token then
  return { OK, math.max(1, own.ends_at and own.ends_at - own.now_ms or redis.call("PTTL", lock)) }
end
local is_old = tonumber(token) < string.match(ARGV[1], "^%d+") * 68719476736
local left_ms = is_old and quarantine_left(KEYS[2]) or 0
if left_ms > 0 then
  return { OK, left_ms }
end
-- What stands there of this lock says how it ended, or the caller asks again when it has read it.
local later = redis.call("XRANGE", KEYS[6], "(" .. ARGV[5], "+", "COUNT", 256)
for _, entry in ipairs(later) do
  if entry[2][4] == lock then
    return { OK, 0 }
  end
end
if #later < 256 then
  record_event(KEYS[6], is_old and "lost" or "expired", lock, owner, token, ARGV[4])
end
return { OK, 0 }
