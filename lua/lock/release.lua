--- lock.release: end a hold now and give the lock to the next in line.
-- Promises: only the hold of this owner (and of this token, if one is given) ends; whoever waits longest gets the lock,
--   and the node that it waits in is told.
-- KEYS:
--   1 fence: the partition's fence
--   2 outcome: first outcome of this request id
--   3 tokens: fencing token counter
--   4 lock: the hold, a string (see lib/hold)
--   5 readers: owners of shared holds by end of lease, a sorted set
--   6 reader_holds: token and lease of each shared hold, a hash
--   7 waiters: those who wait, in order, a sorted set
--   8 waiter_info: what is known of each that waits, a hash (see lib/waiter)
--   9 sessions: sessions of nodes with waiters by their end, a sorted set
--   10 granted: grants not confirmed yet, a hash (see lib/granted)
--   11 lock_events: what happened to locks, a stream while it is recorded (see lib/event)
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 fingerprint: of the request, empty without a request id
--   3 keep_ms: how long the outcome is kept, ms
--   4 owner: who releases
--   5 token: of the hold to end, empty = whichever this owner has
--   6 wake_channel: where waiting nodes listen
--   7 all: 1 = end a re-entrant hold whole; empty = take it back once
-- Replies:
--   OK [more holds]: the hold ended; more = 1 when lock.hand_over has more to do; holds = how often this owner has it
--     yet, of a re-entrant hold: it ended at 0
--   LOCK_NOT_HELD: this owner holds nothing here
--   TOKEN_STALE: this owner's hold has another token
-- Complexity: O(log h + log w) with h holders and w who wait; at most 100 are let in, and 1000 waiters
--   of ended sessions removed
-- Retry: safe with the same request id
-- In one call with the hold, which every release asks for.
local found = redis.call("MGET", KEYS[1], KEYS[4])
local installed, present = found[1], found[2]
--- @include lib/fence_compare
--- @include lib/first_outcome
if first_outcome then
  return first_outcome
end

-- The common case comes before the functions of the others, for in a script even a function unused costs time.
do
  if not present then
    return { LOCK_NOT_HELD }
  end
  local token, owner = string.match(present, "^x(%d+) %d+ 0 (.*)$")
  local is_right = owner == ARGV[4] and (ARGV[5] == "" or ARGV[5] == token)
  if is_right and ARGV[2] == "" and redis.call("EXISTS", KEYS[7], KEYS[11]) == 0 then
    redis.call("DEL", KEYS[4])
    return { OK }
  end
end

--- @include lib/once
--- @include lib/event
--- @include lib/own_hold
--- @include lib/end_hold
--- @include lib/counter
--- @include lib/held_until
--- @include lib/tell_if_sooner
--- @include lib/line
--- @include lib/hand_over
local owner, wake_channel = ARGV[4], ARGV[6]
local own = own_hold(lock, readers, reader_holds, owner)
if not own then
  return { LOCK_NOT_HELD }
end
if ARGV[5] ~= "" and ARGV[5] ~= own.token then
  return { TOKEN_STALE }
end

local holds = own.more and own.more.holds or 0
if holds > 1 and ARGV[7] ~= "1" then
  own.more.holds = holds - 1
  redis.call("HSET", reader_holds, owner, print_record(own.token, own.ttl_ms, own.more))
  return keep_outcome({ OK, 0, own.more.holds })
end
end_hold(lock, readers, reader_holds, owner, own)
record_event(KEYS[11], "released", lock, owner, own.token, own.mode)
local reply = holds > 0 and { OK, 0, 0 } or { OK }
if redis.call("EXISTS", waiters) == 0 then
  return keep_outcome(reply)
end
local now_ms = redis_now_ms()
local grants, more, sooner_at = 0, 0, nil
if not counter_is_lost then
  grants, more, sooner_at = hand_over(now_ms, wake_channel)
end
-- The hold that ended may be the one whose end those who wait reckon with; not of a semaphore, where it is the first.
if grants == 0 and own.mode ~= "semaphore" then
  tell_if_sooner(lock, waiter_info, wake_channel, sooner_at or held_until(lock, readers, now_ms))
end
if more == 1 then
  reply[2] = 1
end
return keep_outcome(reply)
