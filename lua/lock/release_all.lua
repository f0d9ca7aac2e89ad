--- lock.release_all: end the holds of one owner on several locks of a partition, and give each to the next in line.
-- Promises: as lock.release for each; all that this owner holds end together, a re-entrant hold however often it was
--   taken.
-- KEYS:
--   1 fence: the partition's fence
--   2 outcome: first outcome of this request id
--   3 tokens: fencing token counter
--   4 quarantine: end of the quarantine and the token counter after it (see lib/quarantine)
--   5 sessions: sessions of nodes with waiters by their end, a sorted set
--   6 granted: grants not confirmed yet, a hash (see lib/granted)
--   7 lock_events: what happened to locks, a stream while it is recorded (see lib/event)
--   8+ lock: the hold, a string (see lib/hold)
--   9+ readers: owners of shared holds by end of lease, a sorted set
--   10+ reader_holds: token and lease of each shared hold, a hash
--   11+ waiters: those who wait, in order, a sorted set
--   12+ waiter_info: what is known of each that waits, a hash (see lib/waiter)
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 fingerprint: of the request, empty without a request id
--   3 keep_ms: how long the outcome is kept, ms
--   4 owner: who releases
--   5 wake_channel: where waiting nodes listen
--   6+ token: of the hold to end, empty = whichever this owner has
-- Replies:
--   OK more [code]: what became of each: OK when its hold ended, else what lock.release refuses with; more = 1 when
--     lock.hand_over has more to do
--   LOCK_NOT_HELD: given for a lock, and never for all
--   TOKEN_STALE: likewise
-- Complexity: O(n (log h + log w)) with n locks, at most 16, h shared holders and w who wait; each line is bounded as
--   lock.release bounds it
-- Retry: safe with the same request id
--- @include lib/fence
--- @include lib/once

-- The common case comes before the functions of the others, for in a script even a function unused costs time.
do
  local reply, is_common = { OK, 0 }, ARGV[2] == ""
  for at = 8, is_common and #KEYS or 0, 5 do
    local wanted = ARGV[4 + #reply]
    local token, owner = string.match(redis.call("GET", KEYS[at]) or "", "^x(%d+) %d+ 0 (.*)$")
    is_common = is_common and owner == ARGV[4] and (wanted == "" or wanted == token)
    is_common = is_common and redis.call("EXISTS", KEYS[at + 3], KEYS[7]) == 0
    reply[#reply + 1] = OK
  end
  if is_common then
    for at = 8, #KEYS, 5 do
      redis.call("DEL", KEYS[at])
    end
    return reply
  end
end

--- @include lib/counter
--- @include lib/event
--- @include lib/own_hold
--- @include lib/end_hold
--- @include lib/may_grant
--- @include lib/held_until
--- @include lib/tell_if_sooner
--- @include lib/several
--- @include lib/hand_over
if first_outcome then
  return first_outcome
end
local owner, wake_channel = ARGV[4], ARGV[5]
local begins_in_ms = grants_begin_in_ms(tokens, quarantine)
local now_ms = redis_now_ms()
local reply, ended = { OK, 0 }, 0
for number = 1, locks do
  turn_to(number)
  local wanted = ARGV[5 + number]
  local own = own_hold(lock, readers, reader_holds, owner)
  if not own then
    reply[number + 2] = LOCK_NOT_HELD
  elseif wanted ~= "" and wanted ~= own.token then
    reply[number + 2] = TOKEN_STALE
  else
    reply[number + 2], ended = OK, ended + 1
    end_hold(lock, readers, reader_holds, owner, own)
    record_event(lock_events, "released", lock, owner, own.token, own.mode)
    if redis.call("EXISTS", waiters) == 1 then
      local grants, more, sooner_at = 0, 0, nil
      if begins_in_ms == 0 then
        grants, more, sooner_at = hand_over(now_ms, wake_channel)
      end
      reply[2] = math.max(reply[2], more)
      if grants == 0 and own.mode ~= "semaphore" then
        tell_if_sooner(lock, waiter_info, wake_channel, sooner_at or held_until(lock, readers, now_ms))
      end
    end
  end
end
return ended > 0 and keep_outcome(reply) or reply
