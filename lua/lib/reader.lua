-- When the lease of a shared hold ends, 0 without one.
local function ends_of_reader(readers, owner)
  return tonumber(redis.call("ZSCORE", readers, owner) or 0)
end
