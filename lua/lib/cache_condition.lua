-- The version that stands against a write with if_version (0 = the key must not exist, empty = any); nothing when none
-- does.
local function version_against(entry, if_version)
  if if_version == "" then
    return
  end
  local version = string.match(redis.call("GETRANGE", entry, 0, 17), "^%d+") or "0"
  return version ~= if_version and version or nil
end
