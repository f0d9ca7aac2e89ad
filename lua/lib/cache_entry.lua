-- What stands under a cache key: `version value`, or, when there is more to say, marks between the two:
--   version~fresh_until.delta_ms.token.lease_until.absent value
-- fresh_until: Redis time in ms after which the value is kept for those who accept an old one, 0 = fresh as long as
--   it is there
-- delta_ms: how long it took to make the value; token, lease_until: who is making the next one, how long others wait
-- absent: version of the knowledge that there is no value. Then, as when there is nothing but a lease, `version` is 0,
--   so that whoever looks at the version alone sees a key that does not exist.
local function parse_marks(stored)
  local fresh_until, delta_ms, token, lease_until, absent, at =
    string.match(stored, "^%d+~(%d+)%.(%d+)%.([%w-]*)%.(%d+)%.(%d+) ()")
  return tonumber(fresh_until), delta_ms, token, tonumber(lease_until), absent, at
end
