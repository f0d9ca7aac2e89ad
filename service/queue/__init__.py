"""Topics of messages: delivered at least once, invisible while a consumer works, gone only when acknowledged."""

from service.queue.administration import Administration
from service.queue.queues import Queues
from service.queue.subscriptions import Subscriptions
from service.queue.timetable import Timetable
from service.queue.topic_wire import TopicState

__all__ = ["Administration", "Queues", "Subscriptions", "Timetable", "TopicState"]
