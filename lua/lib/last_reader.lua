-- All keys of a shared lock end with its longest lease.
local function end_with_last_reader(lock, readers, reader_holds)
  local last = redis.call("ZRANGE", readers, -1, -1, "WITHSCORES")[2]
  redis.call("PEXPIREAT", lock, last)
  redis.call("PEXPIREAT", readers, last)
  redis.call("PEXPIREAT", reader_holds, last)
end
