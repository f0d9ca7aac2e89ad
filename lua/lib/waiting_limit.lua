-- Requests for a semaphore that wait: their limit, which is the limit while they do, and their number.
local function waiting_limit(waiter_info)
  local limit, number = string.match(redis.call("HGET", waiter_info, "limit") or "", "^(%d+) (%d+)$")
  return tonumber(limit), tonumber(number or 0)
end
