-- Scripts on several locks of one partition are sent five keys of each, in the order of their names, after those of the
-- partition. What works on one lock works on the one turned to last.
--- @include lib/detail
--- @include lib/granted
--- @include lib/held
--- @include lib/leave_line
--- @include lib/new_record
--- @include lib/now
--- @include lib/permits
--- @include lib/reader
--- @include lib/waiter
--- @include lib/write_hold
local tokens, quarantine, sessions, granted = KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local lock, readers, reader_holds, waiters, waiter_info
local lock_events = KEYS[7]
local partition_keys, lock_keys, locks_max = 7, 5, 16
local locks = math.min(math.floor((#KEYS - partition_keys) / lock_keys), locks_max)
local function turn_to(number)
  local at = partition_keys + lock_keys * (number - 1)
  lock, readers, reader_holds = KEYS[at + 1], KEYS[at + 2], KEYS[at + 3]
  waiters, waiter_info = KEYS[at + 4], KEYS[at + 5]
end
