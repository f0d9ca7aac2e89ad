-- An operation of a group, as text; `part` is the place in KEYS of the first key of what it is about:
--   check <part> <token> <owner>                      owner: empty = whoever it is
--   ack <part> <delivery> <generation> <id>
--   publish <part> <delay_ms> <priority> <ttl_ms> <key_bytes> <headers_bytes> <key><headers><id>
--   put <part> <ttl_ms> <if_version> <tags> <name>    if_version: as in cache.put; tags: how many; name: of the key
--   invalidate <part>
local forms = {
  check = { "^(%d+) (.*)$", "token", "owner" },
  ack = { "^(%S+) (%d+) (.*)$", "delivery", "generation", "id" },
  publish = {
    "^(%d+) (%d) (%d+) (%d+) (%d+) (.*)$",
    "delay_ms", "priority", "ttl_ms", "key_bytes", "headers_bytes", "id",
  },
  put = { "^(%d+) (%d*) (%d+) (.*)$", "ttl_ms", "if_version", "tags", "name" },
  invalidate = { "^" },
}

local function parse_operation(text, payload)
  local act, part, rest = string.match(text, "^(%l+) (%d+) ?(.*)$")
  local asked, form = { act = act, part = tonumber(part), payload = payload }, forms[act]
  local found = { string.match(rest, form[1]) }
  for at = 2, #form do
    asked[form[at]] = found[at - 1]
  end
  asked.ttl_ms = tonumber(asked.ttl_ms)
  if act == "publish" then
    local key_ends_at, headers_end_at = tonumber(asked.key_bytes), asked.key_bytes + asked.headers_bytes
    local key, headers = string.sub(asked.id, 1, key_ends_at), string.sub(asked.id, key_ends_at + 1, headers_end_at)
    asked.id = string.sub(asked.id, headers_end_at + 1)
    if asked.priority ~= "0" or asked.ttl_ms > 0 or headers_end_at > 0 then
      asked.option = { tonumber(asked.priority), asked.ttl_ms, key, headers }
    end
  end
  return asked
end
