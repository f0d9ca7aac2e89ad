-- What a request asks for beyond mode and lease, in one argument, empty for a plain one:
--   <reentrant> <permits> <limit> <max_hold_ms> <metadata>
-- reentrant: 1 or 0; permits and limit: of a semaphore, else 0; max_hold_ms: 0 = none; metadata: any bytes.
local function parse_detail(detail)
  local reentrant, permits, limit, max_hold_ms, metadata = string.match(detail, "^(%d) (%d+) (%d+) (%d+) (.*)$")
  local asked = { is_plain = not reentrant, is_reentrant = reentrant == "1", metadata = metadata or "" }
  asked.permits, asked.limit = tonumber(permits or 0), tonumber(limit or 0)
  asked.max_hold_ms = tonumber(max_hold_ms or 0)
  return asked
end
