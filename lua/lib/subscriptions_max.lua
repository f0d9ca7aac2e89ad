-- Subscriptions of one topic.
local subscriptions_max = 16
