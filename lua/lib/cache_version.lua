-- The version of an entry, also of the knowledge that there is no value.
--- @include lib/cache_entry
local function entry_version(stored)
  local version, mark = string.match(stored, "^(%d+)([ ~])")
  if mark == "~" and version == "0" then
    local _, _, _, _, absent = parse_marks(stored)
    return absent
  end
  return version or "0"
end
