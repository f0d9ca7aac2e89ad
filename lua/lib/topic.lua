-- The keys of a topic, which every script that changes one declares alike. Those with a question mark are sent only
-- for topics that use them: parsing eighteen names costs Redis as much as publishing a message.
-- KEYS:
--   3 messages: records, deliveries, reasons and places by id, a hash (see lib/attributes)
--   4 ready: ids to deliver of priority 0, a list
--   5 delayed: ids by due time, a sorted set
--   6 inflight: ids by end of visibility, a sorted set
--   7 settings: what was set for the topic, packed; there is none for a topic that only uses what is above
--   8 due: of the partition: when a topic has something to be tended at the earliest, a sorted set
--   9? urgent: ids to deliver of priorities 1 to 9, a sorted set
--   10? expiring: ids by end of life, a sorted set
--   11? line: ids that wait for their ordering key, a sorted set in order of key and place
--   12? busy: how many messages of each ordering key are under way, a hash
--   13? seen: ids not to be published again yet, a sorted set
--   14? ghosts: ids in the list of ready that are to be passed over, and how often, a hash
--   15? takers: consumers that wait, a sorted set (see lib/takers)
--   16? sessions: sessions of nodes with parked requests by their end, a sorted set
--   17? dead: ids of dead letters by the time of their death, a sorted set
--   18? flow: counters of the topic, a hash
local messages, ready, delayed, inflight, settings, due = KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local urgent, expiring, line, busy, seen = KEYS[9], KEYS[10], KEYS[11], KEYS[12], KEYS[13]
local ghosts, takers, sessions, dead, flow = KEYS[14], KEYS[15], KEYS[16], KEYS[17], KEYS[18]
local topic = packed_settings and cmsgpack.unpack(packed_settings) or {}
