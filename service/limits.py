"""Every bound of the public interface, in one place, with its unit in its name.

A request beyond a limit is refused with a 4xx problem that names the field and the limit; nothing is
clipped silently. The OpenAPI document takes its numbers from here.
"""

NAME_BYTES_MAX = 512
"""Resource, owner, topic, consumer, key, message id and request id: UTF-8 bytes."""

PAYLOAD_BYTES_MAX = 256 * 1024
"""One message's `data` or one cache `value`, as the JSON bytes that were sent."""

PAYLOAD_DEPTH_MAX = 128
"""Nesting of arrays and objects in a payload. Deeper ones would break the readers, not us: common JSON
parsers stop between 512 and 1024 levels."""

BODY_BYTES_MAX = 4 * 1024 * 1024
"""One HTTP request body; what a full publish batch may take."""

INTEGER_MAX = 2**53 - 1
"""The largest integer that JSON readers in every language hold exactly (RFC 8259 section 6)."""

LEASE_MS_MIN = 50
LEASE_MS_MAX = 24 * 60 * 60 * 1000
LEASE_MS_DEFAULT = 30_000

LOCK_WAIT_S_MAX = 300.0
LOCK_WAIT_S_DEFAULT = 5.0
LOCK_HOLDERS_MAX = 10_000
"""Shared holders of one resource at one time."""
LOCK_HOLDERS_SHOWN_MAX = 100
"""Holders listed in one reply; `more` says that there are others."""
LOCK_LIMIT_MAX = 10_000
"""Permits of one semaphore."""
LOCK_METADATA_BYTES_MAX = 1024
"""`metadata` of one hold, as the JSON bytes that were sent: each refusal shows up to a hundred of them."""
LOCK_HOLD_MS_MAX = 30 * 24 * 60 * 60 * 1000
"""How long one hold can be limited to in all, renewals included."""
LOCK_WAITERS_MAX = 10_000
"""Requests that wait for one resource at one time."""
LOCK_WAITERS_SHOWN_MAX = 100
LOCK_WAITERS_PER_NODE_MAX = 10_000
LOCK_CYCLE_SHOWN_MAX = 20
"""Steps of a deadlock that its victim is told; `length` counts all."""
LOCK_RESOURCES_MIN = 2
LOCK_RESOURCES_MAX = 16
"""Locks that one request takes together."""
LOCK_PARTITIONS_MAX = 8
"""Partitions that they may live in: each is a step of its own."""

LOCK_EVENTS_MAX = 1_024
"""Events kept of all locks of one partition (lua/lib/event.lua); Redis may keep up to 100 more."""
LOCK_EVENTS_KEEP_MS = 10 * 60 * 1000
"""How long recording goes on after the last watcher of a partition is gone: who comes back in time misses nothing."""
LOCK_HISTORY_MAX = 100
"""Events of one lock in one reply."""
LOCK_LIST_MAX = 100
LOCK_LIST_DEFAULT = 50
"""Locks in one page of the list."""
WATCHERS_PER_NODE_MAX = 1_000
"""Streams of events that one node serves at a time."""
WATCHED_LOCKS_MAX = 32
"""Locks, or prefixes, in one stream of events."""

VISIBILITY_MS_MIN = 50
VISIBILITY_MS_MAX = 12 * 60 * 60 * 1000
VISIBILITY_MS_DEFAULT = 60_000

DELIVERY_TOTAL_MS_MAX = 12 * 60 * 60 * 1000
"""How long one delivery may last, however often it is extended."""

DELAY_MS_MAX = 30 * 24 * 60 * 60 * 1000
MESSAGE_TTL_MS_MAX = 365 * 24 * 60 * 60 * 1000
PRIORITY_MAX = 9
HEADERS_MAX = 32
HEADERS_BYTES_MAX = 4 * 1024
"""A message's headers, as compact JSON."""
PUBLISH_BATCH_MAX = 1_000
CONSUME_BATCH_MAX = 1_000
ACK_BATCH_MAX = 1_000
CONSUME_WAIT_MS_MAX = 60_000
CONSUMERS_PER_NODE_MAX = 10_000
"""Requests that wait for a message on one node at one time."""

MAX_DELIVERIES_DEFAULT = 5
MAX_DELIVERIES_MAX = 1_000
TOPIC_LENGTH_MAX = 100_000_000
BACKOFF_MAX_MS_DEFAULT = 60 * 60 * 1000
DEAD_RETENTION_MS_DEFAULT = 14 * 24 * 60 * 60 * 1000
RETENTION_MS_MAX = 365 * 24 * 60 * 60 * 1000
DEDUP_MS_MAX = 24 * 60 * 60 * 1000
CONCURRENCY_MAX = 1_000_000
KEY_CONCURRENCY_MAX = 1_000
RATE_PER_S_MAX = 1_000_000
PEEK_MAX = 100
QUEUE_MOVE_MAX = 1_000
"""Messages in one redrive, kick or purge."""

SCHEDULES_MAX = 100
"""Schedules of one topic."""
SCHEDULE_NAME_BYTES_MAX = 256
"""The ids of its messages are made of it."""
SCHEDULE_DATA_BYTES_MAX = 16 * 1024
"""`data` of a schedule: its list shows a hundred of them."""
SCHEDULE_HEADERS_MAX = HEADERS_MAX - 2
"""Two are its own."""
CRON_CHARS_MAX = 128
EVERY_MS_MIN = 1_000
EVERY_MS_MAX = 366 * 24 * 60 * 60 * 1000
MISSED_AFTER_MS = 10_000
"""A tick that is later than this was missed."""
MISSED_TICKS_MAX = 100
"""Ticks that one call publishes later; the others follow at once."""
TICKS_SHOWN = 5

CACHE_TTL_MS_MAX = 365 * 24 * 60 * 60 * 1000
INVALIDATE_BATCH_MAX = 1_000
"""Keys in one invalidate request."""
MGET_MAX = 100
"""Keys in one mget request: each may be a value of PAYLOAD_BYTES_MAX."""
MPUT_MAX = 1_000
TAGS_MAX = 16
"""Tags of one value."""
FILL_MS_MIN = 50
FILL_MS_MAX = 60_000
"""How long one caller may take to make a missing value while others wait for it."""
PREFIX_BYTES_MIN = 3
"""A shorter prefix may mean nearly every key, and is taken with `all` only."""
PREFIX_REMOVED_MAX = 100_000
"""Values, about, that a prefix removes in one request; `more` says that there may be others."""
AUDIT_MAX = 1_000
AUDIT_DEFAULT = 100
"""Copies of a node that one audit looks at."""
REMOVED_MAX = 1_000
"""Values that a tag removes from a partition in one request; `more` says that there are others."""

ATOMIC_OPERATIONS_MAX = 16
"""Operations in one group, which Redis does in one step."""
ATOMIC_BYTES_MAX = 1024 * 1024
"""All payloads of one group together."""
