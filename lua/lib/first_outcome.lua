-- What a request id was answered first, if it was. The fingerprint covers the whole request, so one id on two different
-- requests is told apart from a retry.
-- Replies: REQUEST_ID_REUSED
local first_outcome
if ARGV[2] ~= "" then
  local kept = redis.call("GET", KEYS[2])
  if kept then
    kept = cmsgpack.unpack(kept)
    if kept[1] ~= ARGV[2] then
      return { REQUEST_ID_REUSED }
    end
    first_outcome = kept[2]
  end
end
