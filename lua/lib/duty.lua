-- Duties are done by a partition's owner only. The first call of a newer assignment takes over from the owner before;
-- an owner that slept through it is refused here, before anything is written.
-- Replies: DUTY_STALE
local duty, assignment, node = KEYS[2], ARGV[2], ARGV[3]
local on_duty = redis.call("GET", duty) or "0 "
if on_duty ~= assignment .. " " .. node and tonumber(string.match(on_duty, "^%d+")) >= tonumber(assignment) then
  return { DUTY_STALE, on_duty }
end
