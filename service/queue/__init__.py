"""Topics of messages: delivered at least once, invisible while a consumer works, gone only when acknowledged."""

from service.queue.queues import Queues
from service.queue.wire import (
    Acked,
    AckRequest,
    BatchAcked,
    ConsumeRequest,
    Deliveries,
    Delivery,
    Extended,
    ExtendRequest,
    Nacked,
    NackRequest,
    NoMessage,
    Published,
    PublishedBatch,
    PublishRequest,
    TopicState,
)

__all__ = [
    "AckRequest",
    "Acked",
    "BatchAcked",
    "ConsumeRequest",
    "Deliveries",
    "Delivery",
    "ExtendRequest",
    "Extended",
    "NackRequest",
    "Nacked",
    "NoMessage",
    "PublishRequest",
    "Published",
    "PublishedBatch",
    "Queues",
    "TopicState",
]
