-- What reader_holds has of a hold, by owner: token and lease, and for those that are more than plain:
--   <token> <ttl_ms> <holds> <permits> <granted_at> <max_hold_ms> <metadata>
-- holds: how often a re-entrant hold was taken, 0 = it is not one; permits: 0 = no semaphore; granted_at: of the first
-- grant; max_hold_ms: 0 = for as long as it is renewed; metadata: any bytes, empty = none.
-- In scripts these are a table of the same names, numbers and bytes; nil for a plain hold.
local function parse_record(record)
  local token, ttl_ms, holds, permits, granted_at, max_hold_ms, metadata =
    string.match(record, "^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (.*)$")
  if not token then
    return string.match(record, "^(%d+) (%d+)$")
  end
  local more = { holds = tonumber(holds), permits = tonumber(permits), granted_at = tonumber(granted_at) }
  more.max_hold_ms, more.metadata = tonumber(max_hold_ms), metadata
  return token, ttl_ms, more
end
