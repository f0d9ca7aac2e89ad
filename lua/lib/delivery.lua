-- Judges one delivery: OK if it is the current one and its visibility timeout has not passed, else why not; then what
-- is known of the last delivery, and when its visibility ends.
-- Needs now_ms. delivery and generation are empty when the caller names only the message. The delivery's time tells
-- a receipt of an earlier message with the same id from one of this message.
-- Replies: RECEIPT_EXPIRED, RECEIPT_SUPERSEDED, ALREADY_ACKED
local current_generation = string.match(ARGV[1], "^%d+")
local function judge_delivery(records, deliveries, id, delivery, generation)
  local delivered = redis.call("HGET", records, "\1" .. id)
  if delivery ~= "" and delivered then
    if string.match(delivered, "^[%d.]+") ~= delivery or generation ~= current_generation then
      return RECEIPT_SUPERSEDED
    end
  end
  local ends_at = tonumber(redis.call("ZSCORE", deliveries, id) or 0)
  if ends_at > now_ms then
    return OK, delivered, ends_at
  end
  if delivered or redis.call("HEXISTS", records, id) == 1 then
    return RECEIPT_EXPIRED
  end
  return ALREADY_ACKED
end
