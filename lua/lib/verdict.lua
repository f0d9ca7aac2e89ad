-- What is to be said of a delivery, given what is known of its message's last one and when the visibility of that ends,
-- both false for none. Needs now_ms.
-- Replies: RECEIPT_EXPIRED, RECEIPT_SUPERSEDED, ALREADY_ACKED
local current_generation = string.match(ARGV[1], "^%d+")
local head_of, head = nil, nil

local function verdict(records, id, delivered, visible_at, delivery, made_under)
  if delivery ~= "" and delivered then
    -- Those that were delivered together have the same.
    if delivered ~= head_of then
      head_of, head = delivered, string.match(delivered, "^[%d.]+")
    end
    if head ~= delivery or made_under ~= current_generation then
      return RECEIPT_SUPERSEDED
    end
  end
  if visible_at and tonumber(visible_at) > now_ms then
    return OK
  end
  if delivered or redis.call("HEXISTS", records, id) == 1 then
    return RECEIPT_EXPIRED
  end
  return ALREADY_ACKED
end
