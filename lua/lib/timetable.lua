-- When the schedules of a partition are to publish next: a sorted set of `topic<nul>name` by the time of the tick, +inf
-- for one that is paused. Needs timetable.
--- @include lib/tell_owner
local function plan(planned_member, at)
  redis.call("ZADD", timetable, at, planned_member)
  if at ~= "+inf" then
    tell_owner(timetable, at)
  end
end
