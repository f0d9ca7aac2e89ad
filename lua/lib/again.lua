-- The deliveries of a first outcome, for a repeat of the request. Payloads are not copied into the kept outcome;
-- deliveries that have been acknowledged, have lapsed or were made again since are left out, for their receipts no
-- longer count.
--- @include lib/describe
local function deliver_again(again, from)
  for at = from, #first_outcome, 2 do
    local id, delivery = first_outcome[at], first_outcome[at + 1]
    local ends_at = redis.call("ZSCORE", KEYS[6], id)
    local delivered = redis.call("HGET", KEYS[3], "\1" .. id)
    if ends_at and tonumber(ends_at) > now_ms and string.match(delivered, "^[%d.]+") == delivery then
      local record = redis.call("HGET", KEYS[3], id)
      describe(again, id, delivery, record .. (KEYS[19] and redis.call("HGET", KEYS[19], id) or ""))
    end
  end
  return again
end
