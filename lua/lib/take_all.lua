-- Grants every one of several locks to one owner, which none may keep out. The outcome tells whom it was granted
-- through, for only that caller takes it back (see lock.withdraw_all): {OK, 0, tokens, caller}.
local function keep_grant(reply, caller)
  if ARGV[2] ~= "" then
    local kept = {}
    for at, value in ipairs(reply) do
      kept[at] = value
    end
    kept[#kept + 1] = caller
    redis.call("SET", KEYS[2], cmsgpack.pack({ ARGV[2], kept }), "PX", ARGV[3])
  end
end

local function take_all(owner, mode, ttl_ms, caller, now_ms)
  local last = redis.call("INCRBY", tokens, locks)
  local reply = { OK, 0 }
  for number = 1, locks do
    turn_to(number)
    reply[number + 2] = last - locks + number
    write_hold(lock, readers, reader_holds, owner, {
      mode = mode,
      token = string.format("%.0f", reply[number + 2]),
      ttl_ms = ttl_ms,
      lease_ms = ttl_ms,
      now_ms = now_ms,
    })
  end
  keep_grant(reply, caller)
  return reply
end
