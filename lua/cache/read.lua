--- cache.read: read one value or several of a partition, and how far the partition has counted.
-- Promises: changes nothing; the values are the latest ones stored, all as of one moment, and `counter` is the version
--   of the last write that is in them. A value that the caller has already is not sent again.
-- KEYS:
--   1 fence: the partition's fence
--   2 versions: cache version counter
--   3+ entry: version, marks and value (see lib/cache_entry)
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2+ known: version of this entry that the caller has, empty = none
-- Replies:
--   OK counter [entry left_ms]: for each entry in order, itself ("" = there is no fresh one, "=" = it is the known one) and
--     its remaining lifetime in ms, -1 = for ever, or the known one's, which never changes
--   FENCE_MISSING: the counter was lost
-- Complexity: O(n) with n entries, at most 1000
-- Retry: read-only
-- In one call with what is asked for: further ones would cost more than all else here.
local found = redis.call("MGET", KEYS[1], KEYS[2], unpack(KEYS, 3))
local installed, counter = found[1], found[2]
--- @include lib/fence_compare
if not counter then
  return { FENCE_MISSING }
end
--- @include lib/cache_version
--- @include lib/now
local now_ms
local function marked_left_ms(entry, key)
  local fresh_until, _, _, _, absent, at = parse_marks(entry)
  if absent == "0" and at > #entry then
    return nil
  end
  if fresh_until == 0 then
    return redis.call("PTTL", key)
  end
  now_ms = now_ms or redis_now_ms()
  return fresh_until > now_ms and fresh_until - now_ms or nil
end

local reply = { OK, counter }
for at = 3, #KEYS do
  local entry, known, left_ms = found[at], ARGV[at - 1], nil
  if entry then
    if known ~= "" and string.sub(entry, 1, #known + 1) == known .. " " then
      entry, left_ms = "=", -1
    elseif string.find(entry, "^%d+ ") then
      left_ms = redis.call("PTTL", KEYS[at])
    else
      left_ms = marked_left_ms(entry, KEYS[at])
      if left_ms and entry_version(entry) == known then
        entry, left_ms = "=", -1
      end
    end
  end
  reply[#reply + 1] = left_ms and entry or ""
  reply[#reply + 1] = left_ms or -1
end
return reply
