--- cache.store: store a value with tags, kept beyond its lifetime, by the holder of a lease to fill, or that there is none.
-- Promises: as cache.put; with fill_token nothing is stored unless that lease is the key's latest, and the key was
--   neither written nor removed since it was granted.
-- KEYS:
--   1 fence: the partition's fence
--   2 outcome: first outcome of this request id
--   3 versions: cache version counter
--   4 entry: version, marks and value (see lib/cache_entry)
--   5 names: of keys, in order
--   6+ tag: keys by the version they were tagged in; there may be none
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 fingerprint: of the request, empty without a request id
--   3 keep_ms: how long the outcome is kept, ms
--   4 value: opaque bytes, empty = there is no value, and that is to be known
--   5 ttl_ms: lifetime, ms; 0 = for ever
--   6 if_version: the version the key must have, 0 = it must not exist, empty = any
--   7 channel: where near caches listen
--   8 stale_ms: kept so long after its lifetime, ms
--   9 fill_token: as cache.fill granted it, empty = none
--   10 name: of the key
-- Replies:
--   OK version: stored
--   VERSION_MISMATCH version: the key has this version, 0 = it does not exist
--   FILL_SUPERSEDED: another lease was granted since, or the key was written or removed, or the lease is over
-- Complexity: O(t log n) with t tags, at most 16, of n keys each
-- Retry: safe with the same request id
--- @include lib/fence
--- @include lib/once
--- @include lib/counter
if first_outcome then
  return first_outcome
end
--- @include lib/cache_entry
--- @include lib/cache_head
--- @include lib/clock
local entry, value, if_version = KEYS[4], ARGV[4], ARGV[6]
local ttl_ms, stale_ms, fill_token, name = tonumber(ARGV[5]), tonumber(ARGV[8]), ARGV[9], ARGV[10]
local head = read_head(entry)
if if_version ~= "" then
  local version = string.match(head, "^%d+") or "0"
  if version ~= if_version then
    return { VERSION_MISMATCH, version }
  end
end
local delta_ms = 0
if fill_token ~= "" then
  local _, _, token = parse_marks(head)
  if token ~= fill_token then
    return { FILL_SUPERSEDED }
  end
  delta_ms = math.max(now_ms - string.match(token, "^%d+"), 0)
end
if counter_is_lost then
  return { FENCE_MISSING }
end
--- @include lib/keep_name
local version = redis.call("INCR", KEYS[3])
local numeral = string.format("%.0f", version)
local fresh_until = stale_ms > 0 and now_ms + ttl_ms or 0
local stored = numeral .. " " .. value
if value == "" then
  stored = string.format("0~%.0f.%.0f..0.%s ", fresh_until, delta_ms, numeral)
elseif fresh_until > 0 or delta_ms > 0 then
  stored = string.format("%s~%.0f.%.0f..0.0 ", numeral, fresh_until, delta_ms) .. value
end
keep_name(KEYS[5], entry)
if ttl_ms == 0 then
  redis.call("SET", entry, stored)
else
  redis.call("SET", entry, stored, "PX", ttl_ms + stale_ms)
end
for at = 6, #KEYS do
  -- The tag lives as long as the longest-lived of its keys.
  local left_ms = redis.call("PTTL", KEYS[at])
  redis.call("ZADD", KEYS[at], numeral, name)
  if ttl_ms == 0 then
    redis.call("PERSIST", KEYS[at])
  elseif left_ms == -2 or (left_ms >= 0 and left_ms < ttl_ms + stale_ms) then
    redis.call("PEXPIRE", KEYS[at], ttl_ms + stale_ms)
  end
end
redis.call("PUBLISH", ARGV[7], numeral .. " " .. entry)
return keep_outcome({ OK, version })
