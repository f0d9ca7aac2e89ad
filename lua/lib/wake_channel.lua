-- Where nodes hear of what they are to look at: of this cluster, for all its partitions.
local function wake_channel()
  return (string.gsub(KEYS[1], "{p%d+}:fence$", "wake"))
end
