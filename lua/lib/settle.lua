-- What the end of messages means for the others of a topic that is more than a list: see lib/acknowledge.
--- @include lib/topic
--- @include lib/delivered
--- @include lib/pass_turn
--- @include lib/payload
--- @include lib/takers
for at, delivered in ipairs(settled) do
  local _, expires_at, key = parse_delivered(delivered)
  if expires_at > 0 then
    redis.call("ZREM", expiring, acked[at])
  end
  if shared then
    let_go(acked[at])
  end
  pass_turn(key)
end
wake_takers()
