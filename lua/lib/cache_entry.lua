-- What stands under a cache key: `version value`, or, when there is more to say, marks between the two:
--   version~fresh_until.delta_ms.token.lease_until.absent value
-- fresh_until: Redis time in ms after which the value is kept for those who accept an old one, 0 = fresh while it is there
-- delta_ms: how long it took to make the value; token, lease_until: who is making the next one, and how long others wait
-- absent: version of the knowledge that there is no value. Then, as when there is nothing but a lease, `version` is 0, so
-- that whoever looks at the version alone sees a key that does not exist.
local head_bytes = 160
local function parse_marks(entry)
  local fresh_until, delta_ms, token, lease_until, absent, at =
    string.match(entry, "^%d+~(%d+)%.(%d+)%.([%w-]*)%.(%d+)%.(%d+) ()")
  return tonumber(fresh_until), delta_ms, token, tonumber(lease_until), absent, at
end
local function entry_version(head)
  local version, mark = string.match(head, "^(%d+)([ ~])")
  if mark == "~" and version == "0" then
    local _, _, _, _, absent = parse_marks(head)
    return absent
  end
  return version or "0"
end
