-- Judges one delivery: OK if it is the current one and its visibility timeout has not passed, else why not; then what
-- is known of the last delivery, and when its visibility ends.
-- Needs now_ms. delivery and generation are empty when the caller names only the message. The delivery's time tells
-- a receipt of an earlier message with the same id from one of this message.
--- @include lib/verdict
local function judge_delivery(records, deliveries, id, delivery, generation)
  local delivered = redis.call("HGET", records, "\1" .. id)
  local ends_at = redis.call("ZSCORE", deliveries, id)
  return verdict(records, id, delivered, ends_at, delivery, generation), delivered, tonumber(ends_at)
end
