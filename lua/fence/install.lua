--- fence.install: put a fence in place of an older one and lift the partition's counters above its floor.
-- Promises: a fence is never replaced by one of an older generation, no counter ever goes down, and one that was lost
--   comes back only under a new generation, above all it ever counted.
-- KEYS:
--   1 installed: the partition's fence
--   2 tokens: fencing token counter
--   3 versions: cache version counter
-- ARGV:
--   1 fence: new fence, generation.script_set
--   2 floor: generation * 2^36, as a decimal string
-- Replies:
--   OK: the fence is installed
--   FENCE_STALE fence: a newer generation is installed already
--   FENCE_MISSING: a counter was lost under this very generation; install a higher one
-- Complexity: O(1)
-- Retry: safe
local installed = redis.call("GET", KEYS[1])
local generation = tonumber(string.match(ARGV[1], "^%d+"))
if installed and tonumber(string.match(installed, "^%d+")) > generation then
  return { FENCE_STALE, installed }
end
local floor = ARGV[2]
local low = {}
for _, counter in ipairs({ KEYS[2], KEYS[3] }) do
  local last = tonumber(redis.call("GET", counter))
  if not last or last < tonumber(floor) then
    low[#low + 1] = counter
  end
end
if #low > 0 and installed and tonumber(string.match(installed, "^%d+")) == generation then
  return { FENCE_MISSING }
end
for _, counter in ipairs(low) do
  redis.call("SET", counter, floor)
end
redis.call("SET", KEYS[1], ARGV[1])
return { OK }
