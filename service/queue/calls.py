"""The queue scripts and what they take."""

from service.queue.topics import TOPIC_KEYS
from service.store.scripts import declare

_KEYS = f"fence outcome {TOPIC_KEYS}"
_ONCE = "fence fingerprint keep_ms"
_DELIVERY = "id delivery generation"
_DUTY = "fence assignment node"

PUBLISH = declare("queue.publish", keys=_KEYS, args=f"{_ONCE} options id+ delay_ms+ data+")
CONSUME = declare(
    "queue.consume", keys=_KEYS, args=f"{_ONCE} max visibility_ms is_default? consumer? taker session_ms?"
)
_OF_TOPIC = "fence outcome topic_settings"
FAN = declare("queue.fan", keys=f"{_OF_TOPIC} shared due sessions part+", args=f"{_ONCE} options id+ delay_ms+ data+")
SUBSCRIBE = declare("queue.subscribe", keys=f"{_OF_TOPIC} settings", args=f"{_ONCE} subscription")
UNSUBSCRIBE = declare(
    "queue.unsubscribe", keys=f"{_OF_TOPIC} inflight settings", args=f"{_ONCE} subscription is_forced"
)
ACK = declare("queue.ack", keys=_KEYS, args=f"{_ONCE} id+ delivery+ generation+")
ACK_CONSUME = declare(
    "queue.ack_consume",
    keys=_KEYS,
    args=f"{_ONCE} max visibility_ms is_default consumer if_acked id+ delivery+ generation+",
)
NACK = declare("queue.nack", keys=_KEYS, args=f"{_ONCE} {_DELIVERY} delay_ms backs_off? reason")
EXTEND = declare("queue.extend", keys=_KEYS, args=f"{_ONCE} {_DELIVERY} visibility_ms")
LEFT = declare("queue.left", keys="fence messages inflight", args=f"fence {_DELIVERY}")
WITHDRAW = declare("queue.withdraw", keys=_KEYS, args=f"{_ONCE} taker")
ATTEND = declare("queue.attend", keys="fence sessions", args="fence session session_ms")

CONFIGURE = declare("queue.configure", keys=_KEYS, args=f"{_ONCE} changes")
KICK = declare("queue.kick", keys=_KEYS, args=f"{_ONCE} state max id+")
PURGE = declare("queue.purge", keys=_KEYS, args=f"{_ONCE} state is_forced id+")
_INSPECTED = "messages ready delayed inflight settings urgent line ghosts takers dead flow"
INSPECTED = tuple(_INSPECTED.split())
INSPECT = declare("queue.inspect", keys=f"fence {_INSPECTED}", args="fence")
PEEKED = ("messages", "ready", "delayed", "inflight", "urgent", "line", "dead", "ghosts")
PEEK = declare("queue.peek", keys=f"fence {' '.join(PEEKED)} shared?", args="fence state offset limit")

DUE = declare("queue.due", keys="fence duty due", args=_DUTY)
TEND = declare("queue.tend", keys=f"fence duty {TOPIC_KEYS}", args=_DUTY)

_TIMETABLE = "timetable schedules schedule_names"
SCHEDULE = declare(
    "queue.schedule", keys=f"fence outcome {_TIMETABLE}", args=f"{_ONCE} member times spec next_at limit"
)
UNSCHEDULE = declare("queue.unschedule", keys=f"fence outcome {_TIMETABLE}", args=f"{_ONCE} member")
SCHEDULES = declare("queue.schedules", keys=f"fence {_TIMETABLE}", args="fence topic after limit")
TICKS = declare("queue.ticks", keys="fence duty timetable schedules", args=_DUTY)
FIRE = declare(
    "queue.fire",
    keys=f"fence duty topic_settings shared due sessions {_TIMETABLE} part+",
    args=f"{_DUTY} tick id+ data+",
)
