-- Whether the partition keeps the names of its keys (cache/begin_names). The counter of versions says so by being in
-- the upper half of what a generation counts, so that a put learns it from what it reads anyway.
local names_are_kept = counter and counter % 68719476736 >= 34359738368
