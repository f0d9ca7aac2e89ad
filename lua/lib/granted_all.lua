-- The answer to a request that was granted several locks before: its tokens, if it holds them all yet. It comes through
-- its last caller from now on.
-- Replies: LOCK_RELEASED
local function granted_before(first, owner, caller)
  local reply = { OK, 1 }
  for number = 1, locks do
    turn_to(number)
    local token = string.format("%.0f", first[number + 2])
    local own = own_hold(lock, readers, reader_holds, owner)
    if not own or own.token ~= token then
      return { LOCK_RELEASED, token, number }
    end
    reply[number + 2] = first[number + 2]
  end
  first[locks + 3] = caller
  redis.call("SET", KEYS[2], cmsgpack.pack({ ARGV[2], first }), "KEEPTTL")
  return reply
end
