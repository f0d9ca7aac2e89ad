-- Refuse a caller whose fence is not `installed`. A deposed leader, a node that slept through a generation change and
-- an old script set are all turned away here, before anything is written, so nothing else needs to think of them.
-- Replies: FENCE_MISSING, FENCE_STALE
if installed ~= ARGV[1] then
  if installed then
    return { FENCE_STALE, installed }
  end
  return { FENCE_MISSING }
end
