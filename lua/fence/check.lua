--- fence.check: whether a partition is fenced as the cluster has decided, and how long its quarantine lasts.
-- Promises: changes nothing.
-- KEYS:
--   1 installed: the partition's fence
--   2 tokens: fencing token counter
--   3 versions: cache version counter
--   4 quarantine: end of the quarantine and the token counter after it (see lib/quarantine)
--   5 cluster: id of the cluster whose data this is
-- ARGV:
--   1 fence: the one that should be installed, generation.script_set
--   2 cluster_id: of the caller
-- Replies:
--   OK left_ms: all is as it should be; the quarantine's time left in ms, -1 = there is none
--   FENCE_STALE fence: another fence is installed
--   FENCE_MISSING: the fence or a counter is missing
--   CLUSTER_FOREIGN cluster_id fence: the data belongs to another cluster
-- Complexity: O(1)
-- Retry: read-only
local installed = redis.call("GET", KEYS[1])
local cluster = redis.call("GET", KEYS[5])
if cluster and cluster ~= ARGV[2] then
  return { CLUSTER_FOREIGN, cluster, installed or "" }
end
if not installed then
  return { FENCE_MISSING }
end
if installed ~= ARGV[1] then
  return { FENCE_STALE, installed }
end

--- @include lib/quarantine
local left_ms, set_aside = quarantine_left(KEYS[4])
local floor = string.match(installed, "^%d+") * 68719476736
for _, counter in ipairs({ set_aside or redis.call("GET", KEYS[2]) or "0", redis.call("GET", KEYS[3]) or "0" }) do
  if tonumber(counter) < floor then
    return { FENCE_MISSING }
  end
end
return { OK, left_ms or -1 }
