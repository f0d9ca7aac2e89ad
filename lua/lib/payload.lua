-- Where a topic has subscriptions, a payload is stored once: in the hash `shared` by id, and beside it ("\1", then id)
-- how many subscriptions still have the message. Their records end where the payload would begin.
local function let_go(id)
  if redis.call("HINCRBY", shared, "\1" .. id, -1) <= 0 then
    redis.call("HDEL", shared, id, "\1" .. id)
  end
end
