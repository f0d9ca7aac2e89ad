-- Judges one delivery: OK if it is the current one and its visibility timeout has not passed, else why not.
-- Needs now_ms. delivery and generation are empty when the caller names only the message. The delivery's time tells
-- a receipt of an earlier message with the same id from one of this message.
-- Replies: RECEIPT_EXPIRED, RECEIPT_SUPERSEDED, ALREADY_ACKED
local current_generation = string.match(ARGV[1], "^%d+")
local function judge_delivery(messages, inflight, id, delivery, generation)
  local delivered = redis.call("HGET", messages, "\1" .. id)
  if delivery ~= "" and delivered and (delivered ~= delivery or generation ~= current_generation) then
    return RECEIPT_SUPERSEDED
  end
  local ends_at = redis.call("ZSCORE", inflight, id)
  if ends_at and tonumber(ends_at) > now_ms then
    return OK
  end
  if delivered or redis.call("HEXISTS", messages, id) == 1 then
    return RECEIPT_EXPIRED
  end
  return ALREADY_ACKED
end
