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
--- @include lib/cache_condition
--- @include lib/cache_count
--- @include lib/cache_entry
--- @include lib/cache_head
--- @include lib/cache_tag
--- @include lib/cache_write
--- @include lib/clock
local entry, value, if_version = KEYS[4], ARGV[4], ARGV[6]
local ttl_ms, stale_ms, fill_token, name = tonumber(ARGV[5]), tonumber(ARGV[8]), ARGV[9], ARGV[10]
local against = version_against(entry, if_version)
if against then
  return { VERSION_MISMATCH, against }
end
local delta_ms = 0
if fill_token ~= "" then
  local _, _, token = parse_marks(read_head(entry))
  if token ~= fill_token then
    return { FILL_SUPERSEDED }
  end
  delta_ms = math.max(now_ms - string.match(token, "^%d+"), 0)
end
if counter_is_lost then
  return { FENCE_MISSING }
end
--- @include lib/keep_name
local version, numeral = next_version()
local fresh_until = stale_ms > 0 and now_ms + ttl_ms or 0
local stored = numeral .. " " .. value
if value == "" then
  stored = string.format("0~%.0f.%.0f..0.%s ", fresh_until, delta_ms, numeral)
elseif fresh_until > 0 or delta_ms > 0 then
  stored = string.format("%s~%.0f.%.0f..0.0 ", numeral, fresh_until, delta_ms) .. value
end
local kept_ms = ttl_ms == 0 and 0 or ttl_ms + stale_ms
keep_name(KEYS[5], entry)
write_entry(entry, numeral, stored, kept_ms, ARGV[7])
for at = 6, #KEYS do
  give_tag(KEYS[at], name, numeral, kept_ms)
end
return keep_outcome({ OK, version })
