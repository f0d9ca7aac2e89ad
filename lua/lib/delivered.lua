-- What is known of a message since its last delivery: `attempt.ms consumer`, or with the attributes of its record
-- `attempt.ms<tab>priority expires_at_ms key_bytes `, ordering key, consumer.
local function parse_delivered(delivered)
  local priority, expires_at, key_bytes, at = string.match(delivered, "^[%d.]+\t(%d) (%d+) (%d+) ()")
  if not priority then
    return 0, 0, ""
  end
  return tonumber(priority), tonumber(expires_at), string.sub(delivered, at, at + key_bytes - 1)
end
