--- cache.put: store a value under a key and tell every near cache.
-- Promises: the version is above every earlier one of this partition; with if_version nothing is stored unless the
--   key still has that version.
-- KEYS:
--   1 fence: the partition's fence
--   2 outcome: first outcome of this request id
--   3 versions: cache version counter
--   4 entry: version, a space, and the value
-- ARGV:
--   1 fence: generation.script_set of the caller
--   2 fingerprint: of the request, empty without a request id
--   3 keep_ms: how long the outcome is kept, ms
--   4 value: opaque bytes
--   5 ttl_ms: lifetime, ms; 0 = for ever
--   6 if_version: the version the key must have, 0 = it must not exist, empty = any
--   7 channel: where near caches listen
--   8 knows_names: 1 = store nothing if the partition keeps the names of its keys; empty = do, without its name
-- Replies:
--   OK version: stored; 0 = nothing was, for the partition keeps the names of its keys: call cache.store
--   VERSION_MISMATCH version: the key has this version, 0 = it does not exist
-- Complexity: O(1)
-- Retry: safe with the same request id
--- @include lib/fence
--- @include lib/once
--- @include lib/counter
if first_outcome then
  return first_outcome
end
local entry, if_version = KEYS[4], ARGV[6]
if if_version ~= "" then
  local version = string.match(redis.call("GETRANGE", entry, 0, 17), "^%d+") or "0"
  if version ~= if_version then
    return { VERSION_MISMATCH, version }
  end
end
if counter_is_lost then
  return { FENCE_MISSING }
end
--- @include lib/names_kept
if names_are_kept and ARGV[8] == "1" then
  return { OK, 0 }
end
local version = redis.call("INCR", KEYS[3])
local numeral = string.format("%.0f", version)
if ARGV[5] == "0" then
  redis.call("SET", entry, numeral .. " " .. ARGV[4])
else
  redis.call("SET", entry, numeral .. " " .. ARGV[4], "PX", ARGV[5])
end
redis.call("PUBLISH", ARGV[7], numeral .. " " .. entry)
return keep_outcome({ OK, version })
