-- Consume and ack in pairs: PATH_OF_CONSUME PATH_OF_ACK BODY_OF_CONSUME TOPIC.
--
-- wrk calls request() and response() for a whole thread, not for one connection, so a receipt is acknowledged on
-- whichever connection is free next. Every receipt is used once and no request is spent on anything else; what is
-- unacknowledged at the end is what was in flight when the time was up (at most one a connection).
-- Against an echo the body of a consume is a delivery, so that this script does the same work there.
require("report")

local receipts, held = {}, 0
local consume, ack_path, topic
local headers = { ["Content-Type"] = "application/json" }

function init(args)
  consume = wrk.format("POST", args[1], headers, args[3])
  ack_path, topic = args[2], args[4]
end

function request()
  if held == 0 then
    return consume
  end
  local receipt = receipts[held]
  held = held - 1
  return wrk.format("POST", ack_path, headers, '{"topic":"' .. topic .. '","receipt":"' .. receipt .. '"}')
end

function response(status, _, body)
  -- The ack that an echo sends back names a topic first, a delivery its id.
  if status == 200 and string.sub(body, 1, 6) == '{"id":' then
    held = held + 1
    receipts[held] = string.match(body, '"receipt":"([^"]+)"')
  end
end
