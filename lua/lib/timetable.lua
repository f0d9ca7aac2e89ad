-- When the schedules of a partition are to publish next: a sorted set of `topic<nul>name` by the time of the tick, +inf
-- for one that is paused. The member without a name is when the partition's owner will look again; it is told when
-- something comes sooner. Needs timetable.
--- @include lib/wake_channel
local function plan(planned_member, at)
  redis.call("ZADD", timetable, at, planned_member)
  local told = redis.call("ZSCORE", timetable, "")
  if at ~= "+inf" and (not told or tonumber(at) < tonumber(told)) then
    redis.call("PUBLISH", wake_channel(), "@" .. timetable)
  end
end
