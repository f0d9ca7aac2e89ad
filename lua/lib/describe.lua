-- Deliveries as scripts reply them. Needs now_ms.
local generation = string.match(ARGV[1], "^%d+")

local function describe(reply, id, delivery, record)
  reply[#reply + 1] = id
  reply[#reply + 1] = generation .. "." .. delivery .. "." .. id
  reply[#reply + 1] = tonumber(string.match(delivery, "^%d+"))
  reply[#reply + 1] = record
end
