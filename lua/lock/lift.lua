--- lock.lift: end a quarantine whose time is over and wake those who wait; a duty of the partition's owner.
-- Promises: nothing is granted here, and no quarantine ends before its time; nodes are told "*" and the beginning of
--   the partition's keys.
-- KEYS:
--   1 fence: the partition's fence
--   2 duty: assignment and node that does the partition's duties (see lib/duty)
--   3 tokens: fencing token counter
--   4 quarantine: end of the quarantine and the token counter after it (see lib/quarantine)
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 assignment: number of the decision that made the caller the owner
--   3 node: the caller
--   4 wake_channel: where waiting nodes listen
-- Replies:
--   OK left_ms: time the quarantine has left in ms, 0 = it ended now, -1 = there is none
--   DUTY_STALE duty: a newer assignment works here
-- Complexity: O(1)
-- Retry: safe
--- @include lib/fence
--- @include lib/duty
--- @include lib/lift
--- @include lib/quarantine
local tokens, quarantine = KEYS[3], KEYS[4]
redis.call("SET", duty, assignment .. " " .. node)
local left_ms, set_aside = quarantine_left(quarantine)
if left_ms == 0 then
  lift_quarantine(tokens, quarantine, set_aside)
  redis.call("PUBLISH", ARGV[4], "*" .. string.match(KEYS[1], "^.*:"))
end
return { OK, left_ms or -1 }
