-- The partition's owner tends a topic as soon as something in it is due. It asks when the first topic of the partition
-- is; the member without a name is when it will ask again, and it is told when something comes sooner.
--- @include lib/wake_channel

-- `known` is what `due` holds for this topic, if anything.
local function expect(at, known)
  if known and tonumber(known) <= at then
    return
  end
  redis.call("ZADD", due, at, ready)
  local told = redis.call("ZSCORE", due, "")
  if not told or at < tonumber(told) then
    redis.call("PUBLISH", wake_channel(), "@" .. due)
  end
end

local function expect_by(at)
  expect(at, redis.call("ZSCORE", due, ready))
end
