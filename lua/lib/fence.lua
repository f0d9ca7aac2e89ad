-- First act of every script: refuse a caller whose fence is not the installed one. A deposed leader, a node that
-- slept through a generation change and an old script set are all turned away here, before anything is read or
-- written, so nothing else in a script needs to think of them.
-- Replies: FENCE_MISSING, FENCE_STALE
local installed = redis.call("GET", KEYS[1])
if installed ~= ARGV[1] then
  if installed then
    return { FENCE_STALE, installed }
  end
  return { FENCE_MISSING }
end
