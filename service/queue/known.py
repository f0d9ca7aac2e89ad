"""Whether a subscription is there, for scripts that only read and do not look themselves."""

from service.error_registry import SubscriptionUnknown
from service.queue.calls import INSPECT, INSPECTED
from service.queue.topics import Topic
from service.store.scripts import Scripts


async def check_known(scripts: Scripts, topic: Topic) -> None:
    """Raises SubscriptionUnknown."""
    if topic.subscription is None:
        return
    reply = await scripts.call(INSPECT, topic.partition, topic.named(*INSPECTED), ())
    if not reply[-1]:
        raise SubscriptionUnknown(topic=topic.name, subscription=topic.subscription)
