-- The partition's owner tends a topic as soon as something in it is due.
--- @include lib/tell_owner

-- `known` is what `due` holds for this topic, if anything.
local function expect(at, known)
  if known and tonumber(known) <= at then
    return
  end
  redis.call("ZADD", due, at, ready)
  tell_owner(due, at)
end

local function expect_by(at)
  expect(at, redis.call("ZSCORE", due, ready))
end
