-- Acquire and release in pairs on distinct resources: PATH_OF_ACQUIRE PATH_OF_RELEASE PREFIX.
-- As in queue_pair.lua a grant is released on whichever connection is free next. The names carry a prefix of the
-- round: a resource that an earlier round left held would be refused.
require("report")

local granted, held, number = {}, 0, 0
local acquire_path, release_path, prefix
local headers = { ["Content-Type"] = "application/json" }

function init(args)
  acquire_path, release_path, prefix = args[1], args[2], args[3]
end

function request()
  if held == 0 then
    number = number + 1
    local body = '{"resource":"' .. prefix .. number .. '","owner":"alice","mode":"exclusive"}'
    return wrk.format("POST", acquire_path, headers, body)
  end
  local resource = granted[held]
  held = held - 1
  return wrk.format("POST", release_path, headers, '{"resource":"' .. resource .. '","owner":"alice"}')
end

function response(status, _, body)
  -- Only a grant, or an echoed acquire, names a mode.
  if status == 200 and string.find(body, '"mode"', 1, true) then
    held = held + 1
    granted[held] = string.match(body, '"resource":"([^"]+)"')
  end
end
