-- What happens to locks, in one bounded stream for the partition. It is written only while the stream is there, and
-- lock.record makes it be there: a partition that nobody records pays for a look at most; acquire and release, which
-- ask whether keys exist anyway, not even for that.
-- Whoever listens hears on the channel named as the stream that there is more to read.
-- Fields of an entry: event, lock (its key), owner, token, mode, then those that the event has beside them.
local events_max = 1024
local function record_event(events, event, key, who, number, kind, ...)
  if redis.call("EXISTS", events) == 0 then
    return
  end
  redis.call(
    "XADD", events, "MAXLEN", "~", events_max, "*",
    "event", event, "lock", key, "owner", who, "token", number, "mode", kind, ...
  )
  redis.call("PUBLISH", events, event)
end
