--- fence.install: put a fence in place of an older one, lift the partition's counters, and hold its locks back.
-- Promises: a fence is never replaced by one of an older generation, nor by one of another cluster that has not adopted
--   this data; no counter ever goes down, and one that was lost comes back only under a new generation, above all it
--   ever counted.
-- KEYS:
--   1 installed: the partition's fence
--   2 tokens: fencing token counter
--   3 versions: cache version counter
--   4 quarantine: end of the quarantine and the token counter after it (see lib/quarantine)
--   5 cluster: id of the cluster whose data this is
-- ARGV:
--   1 fence: new fence, generation.script_set
--   2 floor: generation * 2^36, as a decimal string
--   3 cluster_id: of the caller
--   4 adopted: id of a cluster whose data the caller takes over, empty = none
--   5 quarantine_ms: how long no lock is granted under a new generation, ms; 0 = no quarantine
-- Replies:
--   OK: the fence is installed
--   FENCE_STALE fence: a newer generation is installed already, or as high a one of the adopted cluster
--   FENCE_MISSING: a counter was lost under this very generation; install a higher one
--   CLUSTER_FOREIGN cluster_id fence: the data belongs to another cluster
-- Complexity: O(1)
-- Retry: safe
local installed = redis.call("GET", KEYS[1]) or ""
local cluster = redis.call("GET", KEYS[5])
if cluster and cluster ~= ARGV[3] and cluster ~= ARGV[4] then
  return { CLUSTER_FOREIGN, cluster, installed }
end
local generation = tonumber(string.match(ARGV[1], "^%d+"))
local installed_generation = tonumber(string.match(installed, "^%d+") or 0)
local is_adopted = cluster and cluster ~= ARGV[3]
if installed_generation > generation or (is_adopted and installed_generation == generation) then
  return { FENCE_STALE, installed }
end

--- @include lib/quarantine
local tokens, versions, quarantine, floor = KEYS[2], KEYS[3], KEYS[4], ARGV[2]
local function lifted(last)
  if tonumber(last or 0) < tonumber(floor) then
    return floor, true
  end
  return last, false
end
local left_ms, set_aside = quarantine_left(quarantine)
local token, is_token_low = lifted(redis.call("GET", tokens) or set_aside)
local version, is_version_low = lifted(redis.call("GET", versions))
if installed_generation == generation then
  if is_token_low or is_version_low then
    return { FENCE_MISSING }
  end
else
  redis.call("SET", versions, version)
  -- A quarantine that runs already is about leases of still older generations: it is never cut short here.
  local quarantine_ms = math.max(left_ms or 0, tonumber(ARGV[5]))
  if quarantine_ms > 0 then
    redis.call("SET", quarantine, string.format("%.0f %s", redis_now_ms() + quarantine_ms, token))
    redis.call("DEL", tokens)
  else
    redis.call("SET", tokens, token)
    redis.call("DEL", quarantine)
  end
end
redis.call("SET", KEYS[5], ARGV[3])
redis.call("SET", KEYS[1], ARGV[1])
return { OK }
