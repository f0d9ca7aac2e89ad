-- One list of both, for a reply that says nothing of those who wait but their number.
--- @include lib/holders
local function refuse_with_holders(code, lock, readers, reader_holds, waiters)
  local out, about = describe_holders(code, lock, readers, reader_holds, waiters)
  for _, value in ipairs(about) do
    out[#out + 1] = value
  end
  return out
end
