"""Background work on partitions, done by the node that the cluster has assigned them to: one duty a file."""

from service.duties.round import Duty, Post, Round

__all__ = ["Duty", "Post", "Round"]
