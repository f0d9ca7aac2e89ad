--- cache.put_many: store several values of a partition and tell every near cache.
-- Promises: each value is judged by itself and stored or not, all in one step.
-- KEYS:
--   1 fence: the partition's fence
--   2 outcome: first outcome of this request id
--   3 versions: cache version counter
--   4 names: of keys, in order
--   5+ entry: version, marks and value (see lib/cache_entry); no key twice
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 fingerprint: of the request, empty without a request id
--   3 keep_ms: how long the outcome is kept, ms
--   4 channel: where near caches listen
--   5+ value: opaque bytes
--   6+ ttl_ms: lifetime, ms; 0 = for ever
--   7+ if_version: the version the key must have, 0 = it must not exist, empty = any
-- Replies:
--   OK [is_stored version]: for each entry in order 1 and its new version, or 0 and the version it has, 0 = none
-- Complexity: O(n) with n entries, at most 1000
-- Retry: safe with the same request id
--- @include lib/fence
--- @include lib/once
--- @include lib/counter
if first_outcome then
  return first_outcome
end
if counter_is_lost then
  return { FENCE_MISSING }
end
--- @include lib/cache_condition
--- @include lib/cache_count
--- @include lib/cache_write
--- @include lib/keep_name
local reply = { OK }
for at = 5, #KEYS do
  local entry, value_at = KEYS[at], 5 + 3 * (at - 5)
  local against = version_against(entry, ARGV[value_at + 2])
  if against then
    reply[#reply + 1] = 0
    reply[#reply + 1] = tonumber(against)
  else
    keep_name(KEYS[4], entry)
    local version, numeral = next_version()
    write_entry(entry, numeral, numeral .. " " .. ARGV[value_at], tonumber(ARGV[value_at + 1]), ARGV[4])
    reply[#reply + 1] = 1
    reply[#reply + 1] = version
  end
end
return keep_outcome(reply)
