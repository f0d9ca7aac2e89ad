-- Grants every one of several locks to one owner, whom nothing keeps out.
--- @include lib/event
--- @include lib/keep_grant
local function take_all(owner, mode, ttl_ms, caller, now_ms)
  local last = redis.call("INCRBY", tokens, locks)
  local reply = { OK, 0 }
  for number = 1, locks do
    turn_to(number)
    reply[number + 2] = last - locks + number
    local token = string.format("%.0f", reply[number + 2])
    write_hold(lock, readers, reader_holds, owner, {
      mode = mode,
      token = token,
      ttl_ms = ttl_ms,
      lease_ms = ttl_ms,
      now_ms = now_ms,
    })
    record_event(lock_events, "granted", lock, owner, token, mode, "ttl_ms", ttl_ms)
  end
  keep_grant(reply, caller)
  return reply
end
