-- A record is the time of publication in ms, a space, and the payload. One of a message with more to it has a tab
-- instead of the space: `ms<tab>priority expires_at_ms key_bytes headers_bytes `, ordering key, headers, payload.
local function attributes_of(record)
  local priority, expires_at, key_bytes, at = string.match(record, "^%d+\t(%d) (%d+) (%d+) %d+ ()")
  if not priority then
    return 0, 0, ""
  end
  return tonumber(priority), tonumber(expires_at), string.sub(record, at, at + key_bytes - 1)
end
