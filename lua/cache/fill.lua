--- cache.fill: read a value, or be the one caller that makes it anew.
-- Promises: while a lease to fill runs, nobody else is granted one for that key; a write or removal of the key ends it.
-- KEYS:
--   1 fence: the partition's fence
--   2 versions: cache version counter
--   3 entry: version, marks and value (see lib/cache_entry)
--   4 names: of keys, in order
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 fill_ms: how long the lease runs, ms; 0 = none is wanted
--   3 stale_ms: a value that ended at most so long ago will do, ms
--   4 nonce: of the caller, makes the token unique
--   5 early: 1 = the lease is wanted although the value is fresh
-- Replies:
--   OK counter state left_ms entry token: state is `fresh` (left_ms: of its lifetime, -1 = for ever), `granted` (the
--     caller is to fill, with this token; left_ms: of the lifetime of an entry that is fresh all the same, 0 = none is),
--     `filling` (somebody else does; left_ms: for so long) or `none`. entry: "" if there is none that will do
--   FENCE_MISSING: the counter was lost
-- Complexity: O(1); a lease over a value that is kept writes the value once more
-- Retry: safe: the lease of a lost answer ends by itself
local found = redis.call("MGET", KEYS[1], KEYS[2], KEYS[3])
local installed, counter, entry = found[1], found[2], found[3]
--- @include lib/fence_compare
if not counter then
  return { FENCE_MISSING }
end
--- @include lib/keep_name
--- @include lib/cache_entry
--- @include lib/clock
local fill_ms, stale_ms = tonumber(ARGV[2]), tonumber(ARGV[3])
local version, value, key_left_ms = "0", "", -2
local fresh_until, delta_ms, token, lease_until, absent = 0, "0", "", 0, "0"
if entry then
  key_left_ms = redis.call("PTTL", KEYS[3])
  version = string.match(entry, "^%d+")
  if string.sub(entry, #version + 1, #version + 1) == " " then
    value = string.sub(entry, #version + 2)
  else
    local at
    fresh_until, delta_ms, token, lease_until, absent, at = parse_marks(entry)
    value = string.sub(entry, at)
  end
end
local is_there = value ~= "" or absent ~= "0"
local is_fresh = is_there and (fresh_until == 0 or fresh_until > now_ms)
local left_ms = fresh_until == 0 and key_left_ms or fresh_until - now_ms
local shown = is_there and (is_fresh or fresh_until + stale_ms > now_ms) and entry or ""
local is_leased = token ~= "" and lease_until > now_ms
if is_fresh and (ARGV[5] ~= "1" or is_leased) then
  return { OK, counter, "fresh", left_ms, entry, "" }
end
if is_leased then
  return { OK, counter, "filling", lease_until - now_ms, shown, "" }
end
if fill_ms == 0 then
  return { OK, counter, "none", 0, shown, "" }
end

token = string.format("%.0f-%s", now_ms, ARGV[4])
local marks = string.format("%.0f.%s.%s.%.0f.%s", fresh_until, delta_ms, token, now_ms + fill_ms, absent)
if is_there then
  redis.call("SET", KEYS[3], version .. "~" .. marks .. " " .. value, "KEEPTTL")
else
  keep_name(KEYS[4], KEYS[3])
  redis.call("SET", KEYS[3], "0~" .. marks .. " ", "PX", fill_ms)
end
return { OK, counter, "granted", is_fresh and left_ms or 0, shown, token }
