"""Made from lua/errors.toml by `make generate`; do not edit."""

from typing import Any

from service.errors import SimpulError


class BodyNotJson(SimpulError):
    """The body is not JSON."""

    code = "body_not_json"
    status = 400
    title = "The body is not JSON"
    detail_template = (
        'The request body is not valid JSON: {reason}.'
    )
    action = (
        'Send one JSON object in UTF-8.'
    )
    retry = "no"

    def __init__(self, *, reason: Any, **shown: Any) -> None:
        super().__init__(reason=reason, **shown)


class PathNotUnicode(SimpulError):
    """The path is not UTF-8."""

    code = "path_not_unicode"
    status = 400
    title = "The path is not UTF-8"
    detail_template = (
        'The percent-encoded name in the path does not decode to UTF-8.'
    )
    action = (
        'Percent-encode the UTF-8 bytes of the name.'
    )
    retry = "no"

    def __init__(self, **shown: Any) -> None:
        super().__init__(**shown)


class NotFound(SimpulError):
    """No such endpoint."""

    code = "not_found"
    status = 404
    title = "No such endpoint"
    detail_template = (
        'Nothing answers at {path}.'
    )
    action = (
        'GET /openapi.json lists every endpoint.'
    )
    retry = "no"

    def __init__(self, *, path: Any, **shown: Any) -> None:
        super().__init__(path=path, **shown)


class MethodNotAllowed(SimpulError):
    """Wrong method."""

    code = "method_not_allowed"
    status = 405
    title = "Wrong method"
    detail_template = (
        '{path} does not answer {method}; it answers {allowed}.'
    )
    action = (
        'Use one of the methods named in the Allow header.'
    )
    retry = "no"

    def __init__(self, *, path: Any, method: Any, allowed: Any, **shown: Any) -> None:
        super().__init__(path=path, method=method, allowed=allowed, **shown)


class BodyTooLarge(SimpulError):
    """The body is too large."""

    code = "body_too_large"
    status = 413
    title = "The body is too large"
    detail_template = (
        'The request body exceeds {limit_bytes} bytes.'
    )
    action = (
        'Send less in one request: split the batch, or store the payload elsewhere and send its address.'
    )
    retry = "no"

    def __init__(self, *, limit_bytes: Any, **shown: Any) -> None:
        super().__init__(limit_bytes=limit_bytes, **shown)


class PayloadTooLarge(SimpulError):
    """The payload is too large."""

    code = "payload_too_large"
    status = 413
    title = "The payload is too large"
    detail_template = (
        '{field} has {size_bytes} bytes; the limit is {limit_bytes}.'
    )
    action = (
        'Store the payload elsewhere and send its address.'
    )
    retry = "no"

    def __init__(self, *, field: Any, size_bytes: Any, limit_bytes: Any, **shown: Any) -> None:
        super().__init__(field=field, size_bytes=size_bytes, limit_bytes=limit_bytes, **shown)


class FieldInvalid(SimpulError):
    """A field has a value that cannot be used."""

    code = "field_invalid"
    status = 422
    title = "A field has a value that cannot be used"
    detail_template = (
        '{field}: {reason}.'
    )
    action = (
        'Correct the named field; nothing was changed.'
    )
    retry = "no"

    def __init__(self, *, field: Any, reason: Any, **shown: Any) -> None:
        super().__init__(field=field, reason=reason, **shown)


class FieldMissing(SimpulError):
    """A required field is absent."""

    code = "field_missing"
    status = 422
    title = "A required field is absent"
    detail_template = (
        '{field} is required.'
    )
    action = (
        'Send the named field; nothing was changed.'
    )
    retry = "no"

    def __init__(self, *, field: Any, **shown: Any) -> None:
        super().__init__(field=field, **shown)


class FieldUnknown(SimpulError):
    """A field is not known here."""

    code = "field_unknown"
    status = 422
    title = "A field is not known here"
    detail_template = (
        '{field} is not a field of this request.'
    )
    action = (
        'Correct its spelling or leave it out; nothing was changed.'
    )
    retry = "no"

    def __init__(self, *, field: Any, **shown: Any) -> None:
        super().__init__(field=field, **shown)


class RequestIdReused(SimpulError):
    """A request id was used for two different requests."""

    code = "request_id_reused"
    status = 422
    title = "A request id was used for two different requests"
    detail_template = (
        'request_id {request_id} already names a request with other contents.'
    )
    action = (
        'Use a new request_id for each new request, and the same one only to retry the very same request.'
    )
    retry = "no"

    def __init__(self, *, request_id: Any, **shown: Any) -> None:
        super().__init__(request_id=request_id, **shown)


class LockHeld(SimpulError):
    """The lock is held."""

    code = "lock_held"
    status = 409
    title = "The lock is held"
    detail_template = (
        '{resource} is held by {holder_count} other request(s), and {waiters} wait in line for it.'
    )
    action = (
        'Wait longer with a larger timeout: requests that wait are served in order. Or try again when expires_in_ms of the holders has passed.'
    )
    retry = "later"

    def __init__(self, *, resource: Any, holder_count: Any, waiters: Any, **shown: Any) -> None:
        super().__init__(resource=resource, holder_count=holder_count, waiters=waiters, **shown)


class LockDeadlock(SimpulError):
    """Waiting for the lock would never end."""

    code = "lock_deadlock"
    status = 409
    title = "Waiting for the lock would never end"
    detail_template = (
        "{owner} waits for {resource} in a circle of {length} waits, each for a lock that the next one's owner has or stands in line for. This wait joined last and was ended; nothing else was changed."
    )
    action = (
        'Release the locks that you hold, so that the others in `cycle` can go on, then begin anew. Take several locks in one order everywhere and this cannot happen.'
    )
    retry = "no"

    def __init__(self, *, owner: Any, resource: Any, length: Any, **shown: Any) -> None:
        super().__init__(owner=owner, resource=resource, length=length, **shown)


class LockNotHeld(SimpulError):
    """The lock is not held by this owner."""

    code = "lock_not_held"
    status = 409
    title = "The lock is not held by this owner"
    detail_template = (
        '{owner} does not hold {resource}: it never did, released it, its lease ended, or an operator ended it.'
    )
    action = (
        'Stop the work that the lock protected if it is still running; acquire again to continue.'
    )
    retry = "no"

    def __init__(self, *, owner: Any, resource: Any, **shown: Any) -> None:
        super().__init__(owner=owner, resource=resource, **shown)


class NoSuchHold(SimpulError):
    """No such hold."""

    code = "no_such_hold"
    status = 409
    title = "No such hold"
    detail_template = (
        '{resource} is not held by {named}.'
    )
    action = (
        'Look who holds it (GET /lock/NAME) and name that hold, or leave owner and token out.'
    )
    retry = "no"

    def __init__(self, *, resource: Any, named: Any, **shown: Any) -> None:
        super().__init__(resource=resource, named=named, **shown)


class LockLost(SimpulError):
    """The lock is no longer held."""

    code = "lock_lost"
    status = 409
    title = "The lock is no longer held"
    detail_template = (
        '{owner} no longer holds {resource} with token {token}: its lease ended, an operator ended it, or Redis lost it and no node can vouch for it.'
    )
    action = (
        'Stop the protected work now, then acquire again. Renew at a third of ttl_ms.'
    )
    retry = "no"

    def __init__(self, *, owner: Any, resource: Any, token: Any, **shown: Any) -> None:
        super().__init__(owner=owner, resource=resource, token=token, **shown)


class LockReleased(SimpulError):
    """The lock granted to this request_id was released since."""

    code = "lock_released"
    status = 409
    title = "The lock granted to this request_id was released since"
    detail_template = (
        'This request_id was granted {resource} with token {token}, which has been released or has expired.'
    )
    action = (
        'Acquire again with a new request_id.'
    )
    retry = "no"

    def __init__(self, *, resource: Any, token: Any, **shown: Any) -> None:
        super().__init__(resource=resource, token=token, **shown)


class LockHoldersFull(SimpulError):
    """The lock has too many shared holders."""

    code = "lock_holders_full"
    status = 409
    title = "The lock has too many shared holders"
    detail_template = (
        '{resource} already has {limit} shared holders.'
    )
    action = (
        'Try again when some have released it.'
    )
    retry = "later"

    def __init__(self, *, resource: Any, limit: Any, **shown: Any) -> None:
        super().__init__(resource=resource, limit=limit, **shown)


class LimitMismatch(SimpulError):
    """The semaphore has another limit."""

    code = "limit_mismatch"
    status = 409
    title = "The semaphore has another limit"
    detail_template = (
        '{resource} is held or waited for as a semaphore with a limit of {limit}.'
    )
    action = (
        'Ask with that limit. It can be another one once nobody holds the lock or waits for it.'
    )
    retry = "no"

    def __init__(self, *, resource: Any, limit: Any, **shown: Any) -> None:
        super().__init__(resource=resource, limit=limit, **shown)


class LockModeMismatch(SimpulError):
    """The lock is held in another mode."""

    code = "lock_mode_mismatch"
    status = 409
    title = "The lock is held in another mode"
    detail_template = (
        '{owner} holds {resource} in the mode {held_mode}; only one in the mode {needed_mode} can be changed so.'
    )
    action = (
        'Release the lock, and acquire it in the mode that you need.'
    )
    retry = "no"

    def __init__(self, *, owner: Any, resource: Any, held_mode: Any, needed_mode: Any, **shown: Any) -> None:
        super().__init__(owner=owner, resource=resource, held_mode=held_mode, needed_mode=needed_mode, **shown)


class LockHoldExceeded(SimpulError):
    """The lock was held for as long as it may be."""

    code = "lock_hold_exceeded"
    status = 409
    title = "The lock was held for as long as it may be"
    detail_template = (
        '{owner} may hold {resource} for {left_ms} ms yet, and no lease is that short: max_hold_ms of its acquire has passed.'
    )
    action = (
        'Finish, and acquire again to continue.'
    )
    retry = "no"

    def __init__(self, *, owner: Any, resource: Any, left_ms: Any, **shown: Any) -> None:
        super().__init__(owner=owner, resource=resource, left_ms=left_ms, **shown)


class LockQuarantine(SimpulError):
    """No lock is granted yet after a loss of data."""

    code = "lock_quarantine"
    status = 409
    title = "No lock is granted yet after a loss of data"
    detail_template = (
        'Redis lost data, and a lease on {resource} that it forgot may still run for {left_ms} ms.'
    )
    action = (
        'Wait longer with a larger timeout, or try again when left_ms has passed. Holders from before renew as always and keep their locks.'
    )
    retry = "later"

    def __init__(self, *, resource: Any, left_ms: Any, **shown: Any) -> None:
        super().__init__(resource=resource, left_ms=left_ms, **shown)


class NoDelegation(SimpulError):
    """This node may not grant locks now."""

    code = "no_delegation"
    status = 503
    title = "This node may not grant locks now"
    detail_template = (
        'This node has had no contact with a leader for {silent_ms} ms, and then grants and renews no locks. Nothing was granted.'
    )
    action = (
        'Ask another node. If it lasts, see GET /raft/state: this node must reach a majority of the others.'
    )
    retry = "later"

    def __init__(self, *, silent_ms: Any, **shown: Any) -> None:
        super().__init__(silent_ms=silent_ms, **shown)


class LeaseNotCovered(SimpulError):
    """So long a lease could not be announced."""

    code = "lease_not_covered"
    status = 503
    title = "So long a lease could not be announced"
    detail_template = (
        'A lease of {ttl_ms} ms has to be announced to the cluster first, and that was not decided: {reason}.'
    )
    action = (
        'Try again after Retry-After, or ask for a lease of at most {cap_ms} ms.'
    )
    retry = "later"

    def __init__(self, *, ttl_ms: Any, reason: Any, **shown: Any) -> None:
        super().__init__(ttl_ms=ttl_ms, reason=reason, **shown)


class TokenStale(SimpulError):
    """The token is not the one of the current hold."""

    code = "token_stale"
    status = 409
    title = "The token is not the one of the current hold"
    detail_template = (
        '{owner} holds {resource} with another token than {token}.'
    )
    action = (
        'Another process uses the same owner name, or this one acquired again: use the token of the latest grant.'
    )
    retry = "no"

    def __init__(self, *, owner: Any, resource: Any, token: Any, **shown: Any) -> None:
        super().__init__(owner=owner, resource=resource, token=token, **shown)


class LockWaitersFull(SimpulError):
    """Too many requests wait."""

    code = "lock_waiters_full"
    status = 503
    title = "Too many requests wait"
    detail_template = (
        '{limit} requests already wait {where}.'
    )
    action = (
        'Try again after Retry-After; if it is this node that is full, another one may do.'
    )
    retry = "later"

    def __init__(self, *, limit: Any, where: Any, **shown: Any) -> None:
        super().__init__(limit=limit, where=where, **shown)


class WatchersFull(SimpulError):
    """Too many clients watch."""

    code = "watchers_full"
    status = 503
    title = "Too many clients watch"
    detail_template = (
        '{limit} streams of events are open on this node already.'
    )
    action = (
        'Watch through another node, or try again after Retry-After. One stream can watch several locks.'
    )
    retry = "later"

    def __init__(self, *, limit: Any, **shown: Any) -> None:
        super().__init__(limit=limit, **shown)


class NodeStopping(SimpulError):
    """This node is stopping."""

    code = "node_stopping"
    status = 503
    title = "This node is stopping"
    detail_template = (
        'The node is shutting down and gave up waiting for {resource}. Nothing was granted.'
    )
    action = (
        'Ask another node.'
    )
    retry = "later"

    def __init__(self, *, resource: Any, **shown: Any) -> None:
        super().__init__(resource=resource, **shown)


class LockIsShared(SimpulError):
    """A token alone does not find the hold."""

    code = "lock_is_shared"
    status = 409
    title = "A token alone does not find the hold"
    detail_template = (
        '{resource} is held in the mode {mode}, by several, and no owner was named.'
    )
    action = (
        'Name the owner beside the token.'
    )
    retry = "no"

    def __init__(self, *, resource: Any, mode: Any, **shown: Any) -> None:
        super().__init__(resource=resource, mode=mode, **shown)


class AlreadyAcked(SimpulError):
    """The message is not in the queue."""

    code = "already_acked"
    status = 409
    title = "The message is not in the queue"
    detail_template = (
        'Topic {topic} has no message {id}: it was acknowledged already, or it never existed.'
    )
    action = (
        'Nothing needs to be done if this is a repeated ack; otherwise check topic and id.'
    )
    retry = "no"

    def __init__(self, *, topic: Any, id: Any, **shown: Any) -> None:
        super().__init__(topic=topic, id=id, **shown)


class ReceiptExpired(SimpulError):
    """The visibility timeout passed."""

    code = "receipt_expired"
    status = 409
    title = "The visibility timeout passed"
    detail_template = (
        'Message {id} of topic {topic} is no longer in flight for this receipt: its visibility timeout passed.'
    )
    action = (
        'Discard this delivery: the message goes to the next consumer. Extend earlier, or consume with a larger visibility_ms.'
    )
    retry = "no"

    def __init__(self, *, id: Any, topic: Any, **shown: Any) -> None:
        super().__init__(id=id, topic=topic, **shown)


class ReceiptSuperseded(SimpulError):
    """The message was delivered again since."""

    code = "receipt_superseded"
    status = 409
    title = "The message was delivered again since"
    detail_template = (
        'Message {id} of topic {topic} was delivered again after this receipt, or Redis lost data since.'
    )
    action = (
        'Discard this delivery: only the latest receipt counts.'
    )
    retry = "no"

    def __init__(self, *, id: Any, topic: Any, **shown: Any) -> None:
        super().__init__(id=id, topic=topic, **shown)


class ExtensionTooLong(SimpulError):
    """A delivery cannot be extended for ever."""

    code = "extension_too_long"
    status = 409
    title = "A delivery cannot be extended for ever"
    detail_template = (
        'Message {id} of topic {topic} was delivered so long ago that it can be extended by {most_ms} ms at the most.'
    )
    action = (
        'Finish, or give the message back with /queue/nack; a delivery lasts 12 hours at the most.'
    )
    retry = "no"

    def __init__(self, *, id: Any, topic: Any, most_ms: Any, **shown: Any) -> None:
        super().__init__(id=id, topic=topic, most_ms=most_ms, **shown)


class TopicFull(SimpulError):
    """The topic is full."""

    code = "topic_full"
    status = 429
    title = "The topic is full"
    detail_template = (
        'Topic {topic} has {length} messages, and takes no more than its max_length. Nothing was published.'
    )
    action = (
        'Publish again later; consume faster, or raise max_length with /queue/settings.'
    )
    retry = "later"

    def __init__(self, *, topic: Any, length: Any, **shown: Any) -> None:
        super().__init__(topic=topic, length=length, **shown)


class TopicPaused(SimpulError):
    """The topic is paused."""

    code = "topic_paused"
    status = 409
    title = "The topic is paused"
    detail_template = (
        'Topic {topic} takes no messages for now: an operator paused it. Nothing was published.'
    )
    action = (
        'Publish again once it is resumed with /queue/pause.'
    )
    retry = "later"

    def __init__(self, *, topic: Any, **shown: Any) -> None:
        super().__init__(topic=topic, **shown)


class TopicInUse(SimpulError):
    """Messages are under way."""

    code = "topic_in_use"
    status = 409
    title = "Messages are under way"
    detail_template = (
        'Topic {topic} has messages that this would harm: {reason}.'
    )
    action = (
        'Wait until they are done, or purge them, and try again; nothing was changed.'
    )
    retry = "later"

    def __init__(self, *, topic: Any, reason: Any, **shown: Any) -> None:
        super().__init__(topic=topic, reason=reason, **shown)


class TopicSubscribed(SimpulError):
    """The topic has subscriptions."""

    code = "topic_subscribed"
    status = 409
    title = "The topic has subscriptions"
    detail_template = (
        'Topic {topic} has subscriptions, which changed during this publish, or the publish is one of a group. Nothing was changed.'
    )
    action = (
        'Publish again with /queue/publish; a group publishes only to topics without subscriptions.'
    )
    retry = "later"

    def __init__(self, *, topic: Any, **shown: Any) -> None:
        super().__init__(topic=topic, **shown)


class SubscriptionUnknown(SimpulError):
    """There is no such subscription."""

    code = "subscription_unknown"
    status = 404
    title = "There is no such subscription"
    detail_template = (
        'Topic {topic} has no subscription {subscription}. Nothing was changed.'
    )
    action = (
        'Make it with /queue/subscribe, or check the names; GET /queue/{topic} lists those there are.'
    )
    retry = "no"

    def __init__(self, *, topic: Any, subscription: Any, **shown: Any) -> None:
        super().__init__(topic=topic, subscription=subscription, **shown)


class SubscriptionsFull(SimpulError):
    """The topic has too many subscriptions."""

    code = "subscriptions_full"
    status = 409
    title = "The topic has too many subscriptions"
    detail_template = (
        'Topic {topic} has {limit} subscriptions, the most there may be. Nothing was changed.'
    )
    action = (
        'Remove one with /queue/unsubscribe, or use another topic.'
    )
    retry = "no"

    def __init__(self, *, topic: Any, limit: Any, **shown: Any) -> None:
        super().__init__(topic=topic, limit=limit, **shown)


class TopicUnknown(SimpulError):
    """There is no such topic."""

    code = "topic_unknown"
    status = 404
    title = "There is no such topic"
    detail_template = (
        'Topic {topic} has no messages, and nothing was set for it.'
    )
    action = (
        'Check the name. If it was deleted before, nothing needs to be done.'
    )
    retry = "no"

    def __init__(self, *, topic: Any, **shown: Any) -> None:
        super().__init__(topic=topic, **shown)


class ConsumersFull(SimpulError):
    """Too many consumers wait."""

    code = "consumers_full"
    status = 429
    title = "Too many consumers wait"
    detail_template = (
        '{limit} requests wait for messages on this node already.'
    )
    action = (
        'Ask another node, or consume without wait_ms.'
    )
    retry = "later"

    def __init__(self, *, limit: Any, **shown: Any) -> None:
        super().__init__(limit=limit, **shown)


class SchedulesFull(SimpulError):
    """The topic has too many schedules."""

    code = "schedules_full"
    status = 409
    title = "The topic has too many schedules"
    detail_template = (
        'Topic {topic} has {limit} schedules, and that is the most. Nothing was changed.'
    )
    action = (
        'Take one away with /queue/unschedule, or schedule in another topic.'
    )
    retry = "no"

    def __init__(self, *, topic: Any, limit: Any, **shown: Any) -> None:
        super().__init__(topic=topic, limit=limit, **shown)


class TopicKeysWanted(SimpulError):
    """The topic uses more than its plain keys."""

    code = "topic_keys_wanted"
    status = 503
    title = "The topic uses more than its plain keys"
    detail_template = (
        'Topic {topic} was called with its plain keys only, and then with all of them in vain.'
    )
    action = (
        'Try again; if it stays, nodes of another release have changed the topic.'
    )
    retry = "later"

    def __init__(self, *, topic: Any, **shown: Any) -> None:
        super().__init__(topic=topic, **shown)


class VersionMismatch(SimpulError):
    """The value changed since it was read."""

    code = "version_mismatch"
    status = 412
    title = "The value changed since it was read"
    detail_template = (
        '{key} has version {version}, not {if_version}.'
    )
    action = (
        'Read the key again, decide again, and put with the new version.'
    )
    retry = "no"

    def __init__(self, *, key: Any, version: Any, if_version: Any, **shown: Any) -> None:
        super().__init__(key=key, version=version, if_version=if_version, **shown)


class KeyAbsent(SimpulError):
    """The key has no value."""

    code = "key_absent"
    status = 404
    title = "The key has no value"
    detail_template = (
        '{key} has no value.'
    )
    action = (
        'Put one; who makes values that are missing reads with POST /cache/get and fill_ms.'
    )
    retry = "no"

    def __init__(self, *, key: Any, **shown: Any) -> None:
        super().__init__(key=key, **shown)


class FillSuperseded(SimpulError):
    """Somebody else fills the key, or it was written since."""

    code = "fill_superseded"
    status = 412
    title = "Somebody else fills the key, or it was written since"
    detail_template = (
        'The lease with which {key} was to be filled is not its latest any more: it is over, or the key was written or removed since it was granted.'
    )
    action = (
        'Nothing was stored: what was computed may be out of date. Read the key again.'
    )
    retry = "no"

    def __init__(self, *, key: Any, **shown: Any) -> None:
        super().__init__(key=key, **shown)


class TagNotShared(SimpulError):
    """The names of a group have no common tag."""

    code = "tag_not_shared"
    status = 422
    title = "The names of a group have no common tag"
    detail_template = (
        '{field} ({name}) does not have the tag of {other_field} ({other_name}), so the two may live in different partitions.'
    )
    action = (
        'Write the same part in braces into every name of the group, as in {example}. Nothing was changed.'
    )
    retry = "no"

    def __init__(self, *, field: Any, name: Any, other_field: Any, other_name: Any, **shown: Any) -> None:
        super().__init__(field=field, name=name, other_field=other_field, other_name=other_name, **shown)


class OperationRefused(SimpulError):
    """An operation of the group was refused."""

    code = "operation_refused"
    status = 409
    title = "An operation of the group was refused"
    detail_template = (
        'operations[{index}] ({operation}) was refused: {reason} Nothing of the group was done.'
    )
    action = (
        'Do what `refusal`, the problem of that operation, says.'
    )
    retry = "no"

    def __init__(self, *, index: Any, operation: Any, reason: Any, **shown: Any) -> None:
        super().__init__(index=index, operation=operation, reason=reason, **shown)


class StoreUnavailable(SimpulError):
    """Redis cannot be reached."""

    code = "store_unavailable"
    status = 503
    title = "Redis cannot be reached"
    detail_template = (
        'This node has no connection to Redis at {address}: {reason}. The request was not sent.'
    )
    action = (
        'Try again after Retry-After; if it lasts, check that Redis runs and that REDIS_URL is right.'
    )
    retry = "later"

    def __init__(self, *, address: Any, reason: Any, **shown: Any) -> None:
        super().__init__(address=address, reason=reason, **shown)


class StoreBusy(SimpulError):
    """Too many calls wait for Redis."""

    code = "store_busy"
    status = 503
    title = "Too many calls wait for Redis"
    detail_template = (
        '{limit} calls already wait for Redis on this node. The request was not sent.'
    )
    action = (
        'Try again after Retry-After, or ask another node.'
    )
    retry = "later"

    def __init__(self, *, limit: Any, **shown: Any) -> None:
        super().__init__(limit=limit, **shown)


class StoreLoading(SimpulError):
    """Redis is loading its data."""

    code = "store_loading"
    status = 503
    title = "Redis is loading its data"
    detail_template = (
        'Redis is reading its data from disk after a restart. Nothing was changed.'
    )
    action = (
        'Try again after Retry-After.'
    )
    retry = "later"

    def __init__(self, **shown: Any) -> None:
        super().__init__(**shown)


class StoreOutOfMemory(SimpulError):
    """Redis is out of memory."""

    code = "store_out_of_memory"
    status = 503
    title = "Redis is out of memory"
    detail_template = (
        'Redis refused the write because maxmemory is reached. Nothing was changed.'
    )
    action = (
        'Raise maxmemory, or let consumers and cache lifetimes free some; keep maxmemory-policy noeviction.'
    )
    retry = "later"

    def __init__(self, **shown: Any) -> None:
        super().__init__(**shown)


class StoreReadOnly(SimpulError):
    """Redis does not accept writes."""

    code = "store_read_only"
    status = 503
    title = "Redis does not accept writes"
    detail_template = (
        'The Redis server refused the write ({reason}). Nothing was changed.'
    )
    action = (
        'Try again after Retry-After; if it lasts, point REDIS_URL at the primary or mend its disk.'
    )
    retry = "later"

    def __init__(self, *, reason: Any, **shown: Any) -> None:
        super().__init__(reason=reason, **shown)


class StoreUnsettled(SimpulError):
    """Redis Cluster is rearranging itself."""

    code = "store_unsettled"
    status = 503
    title = "Redis Cluster is rearranging itself"
    detail_template = (
        'Redis Cluster did not run the call within the time that a call may take: {reason}. Nothing was changed.'
    )
    action = (
        'Try again after Retry-After; if it lasts, look at CLUSTER INFO: a slot half moved, or a primary without a replica.'
    )
    retry = "later"

    def __init__(self, *, reason: Any, **shown: Any) -> None:
        super().__init__(reason=reason, **shown)


class StoreRefused(SimpulError):
    """Redis refused the call."""

    code = "store_refused"
    status = 503
    title = "Redis refused the call"
    detail_template = (
        'Redis answered: {reason}.'
    )
    action = (
        'An operator must look: permissions, a server without scripting, or data of another program under our keys.'
    )
    retry = "no"

    def __init__(self, *, reason: Any, **shown: Any) -> None:
        super().__init__(reason=reason, **shown)


class OutcomeUnknown(SimpulError):
    """Redis was lost before it answered."""

    code = "outcome_unknown"
    status = 504
    title = "Redis was lost before it answered"
    detail_template = (
        'The request was sent, but {reason}. It may or may not have taken effect.'
    )
    action = (
        'Repeat it with the same request_id, which never does it twice; without one, read the state first.'
    )
    retry = "same-id"

    def __init__(self, *, reason: Any, **shown: Any) -> None:
        super().__init__(reason=reason, **shown)


class StoreUnblessed(SimpulError):
    """This Redis has not been accepted by the cluster."""

    code = "store_unblessed"
    status = 503
    title = "This Redis has not been accepted by the cluster"
    detail_template = (
        'The Redis at {address} is another than the one the cluster last used ({incarnation}): {reason}. Nothing was changed.'
    )
    action = (
        'Try again after Retry-After while the leader accepts it; if it lasts, check that every node has the same REDIS_URL and that a leader is elected (GET /raft/state).'
    )
    retry = "later"

    def __init__(self, *, address: Any, incarnation: Any, reason: Any, **shown: Any) -> None:
        super().__init__(address=address, incarnation=incarnation, reason=reason, **shown)


class ClusterForeign(SimpulError):
    """This Redis holds the data of another cluster."""

    code = "cluster_foreign"
    status = 503
    title = "This Redis holds the data of another cluster"
    detail_template = (
        'Redis at {address} belongs to the cluster with the id {cluster_id}, and this one is {ours}. Nothing was changed.'
    )
    action = (
        'Give this cluster a CLUSTER_NAME or a Redis of its own. If the other cluster is gone for good, adopt its data with simpul adopt.'
    )
    retry = "no"

    def __init__(self, *, address: Any, cluster_id: Any, ours: Any, **shown: Any) -> None:
        super().__init__(address=address, cluster_id=cluster_id, ours=ours, **shown)


class GenerationExhausted(SimpulError):
    """There are no more generations."""

    code = "generation_exhausted"
    status = 503
    title = "There are no more generations"
    detail_template = (
        'Generation {number} would make tokens larger than 2^53. Nothing was changed.'
    )
    action = (
        'Start a new cluster under another CLUSTER_NAME.'
    )
    retry = "no"

    def __init__(self, *, number: Any, **shown: Any) -> None:
        super().__init__(number=number, **shown)


class FenceMissing(SimpulError):
    """Redis lost its data."""

    code = "fence_missing"
    status = 503
    title = "Redis lost its data"
    detail_template = (
        'The fence or a counter of partition {partition} is missing: Redis has lost data. Nothing was changed.'
    )
    action = (
        'Try again after Retry-After while the leader fences Redis under a new generation; if it lasts, a leader is missing: see GET /raft/state.'
    )
    retry = "later"

    def __init__(self, *, partition: Any, **shown: Any) -> None:
        super().__init__(partition=partition, **shown)


class FenceStale(SimpulError):
    """This node is behind the cluster."""

    code = "fence_stale"
    status = 503
    title = "This node is behind the cluster"
    detail_template = (
        'Redis is fenced for {seen}; this node works with {fence}. Nothing was changed.'
    )
    action = (
        'Try again after Retry-After or ask another node; if it lasts, this node does not reach the leader: see GET /raft/state.'
    )
    retry = "later"

    def __init__(self, *, seen: Any, fence: Any, **shown: Any) -> None:
        super().__init__(seen=seen, fence=fence, **shown)


class NotCommitted(SimpulError):
    """The decision was not taken."""

    code = "not_committed"
    status = 503
    title = "The decision was not taken"
    detail_template = (
        'The command is certainly not in the log: {reason}.'
    )
    action = (
        'Send it again after Retry-After; if it lasts, see GET /raft/state: a majority of the nodes must run and reach each other.'
    )
    retry = "later"

    def __init__(self, *, reason: Any, **shown: Any) -> None:
        super().__init__(reason=reason, **shown)


class DecisionUnknown(SimpulError):
    """The decision may or may not have been taken."""

    code = "decision_unknown"
    status = 504
    title = "The decision may or may not have been taken"
    detail_template = (
        'The command was handed to a leader, but {reason}. It may yet be committed.'
    )
    action = (
        'Send it again with the same request_id, which never applies it twice.'
    )
    retry = "same-id"

    def __init__(self, *, reason: Any, **shown: Any) -> None:
        super().__init__(reason=reason, **shown)


class DiskNotRegistered(SimpulError):
    """The node is not registered with this disk."""

    code = "disk_not_registered"
    status = 409
    title = "The node is not registered with this disk"
    detail_template = (
        '{url} is not registered with disk {lost}. Nothing was changed.'
    )
    action = (
        'Read url and disk from GET /cluster. If the disk was declared lost already, start the node.'
    )
    retry = "no"

    def __init__(self, *, url: Any, lost: Any, **shown: Any) -> None:
        super().__init__(url=url, lost=lost, **shown)


class GenerationMoved(SimpulError):
    """The generation was raised by somebody else."""

    code = "generation_moved"
    status = 409
    title = "The generation was raised by somebody else"
    detail_template = (
        'The generation is {generation}, not {expected}. Nothing was changed.'
    )
    action = (
        'Look at GET /cluster and decide again.'
    )
    retry = "no"

    def __init__(self, *, generation: Any, expected: Any, **shown: Any) -> None:
        super().__init__(generation=generation, expected=expected, **shown)


class ScriptSetUnknown(SimpulError):
    """No such script set."""

    code = "script_set_unknown"
    status = 404
    title = "No such script set"
    detail_template = (
        'The cluster has no script set {version}; it has {known}.'
    )
    action = (
        'Stage it first, with simpul scripts stage, from an installation that has it.'
    )
    retry = "no"

    def __init__(self, *, version: Any, known: Any, **shown: Any) -> None:
        super().__init__(version=version, known=known, **shown)


class ScriptSetFirst(SimpulError):
    """There is no script set to go back to."""

    code = "script_set_first"
    status = 409
    title = "There is no script set to go back to"
    detail_template = (
        'Script set {version} is the first that this cluster activated. Nothing was changed.'
    )
    action = (
        'Nothing needs to be done; to run another set, stage and activate it.'
    )
    retry = "no"

    def __init__(self, *, version: Any, **shown: Any) -> None:
        super().__init__(version=version, **shown)


class ScriptSetInvalid(SimpulError):
    """Not a script set."""

    code = "script_set_invalid"
    status = 422
    title = "Not a script set"
    detail_template = (
        'The script set cannot be used: {reason}.'
    )
    action = (
        'Stage it with simpul scripts stage, from an installation whose lua/ is unchanged.'
    )
    retry = "no"

    def __init__(self, *, reason: Any, **shown: Any) -> None:
        super().__init__(reason=reason, **shown)


class ScriptSetNotLoaded(SimpulError):
    """The script set is not ready on every node."""

    code = "script_set_not_loaded"
    status = 409
    title = "The script set is not ready on every node"
    detail_template = (
        'Script set {version} cannot be activated: {reason}. Nothing was changed.'
    )
    action = (
        'Wait until GET /scripts shows it loaded on every live node, or mend what it says there.'
    )
    retry = "later"

    def __init__(self, *, version: Any, reason: Any, **shown: Any) -> None:
        super().__init__(version=version, reason=reason, **shown)


class ScriptSetStrandsData(SimpulError):
    """The script set cannot read the data."""

    code = "script_set_strands_data"
    status = 409
    title = "The script set cannot read the data"
    detail_template = (
        'Script set {version} reads data of layouts {reads}, and the data has layout {layout}. Nothing was changed.'
    )
    action = (
        'Activate a set that reads layout {layout}.'
    )
    retry = "no"

    def __init__(self, *, version: Any, reads: Any, layout: Any, **shown: Any) -> None:
        super().__init__(version=version, reads=reads, layout=layout, **shown)


class ScriptSetMoved(SimpulError):
    """Another script set was activated meanwhile."""

    code = "script_set_moved"
    status = 409
    title = "Another script set was activated meanwhile"
    detail_template = (
        'The active script set is {active}, not {expected}. Nothing was changed.'
    )
    action = (
        'Look at GET /scripts and decide again.'
    )
    retry = "no"

    def __init__(self, *, active: Any, expected: Any, **shown: Any) -> None:
        super().__init__(active=active, expected=expected, **shown)


class ScriptAbsent(SimpulError):
    """The active script set cannot do this."""

    code = "script_absent"
    status = 503
    title = "The active script set cannot do this"
    detail_template = (
        '{script} is not in the active script set {version}, or takes no {argument} there.'
    )
    action = (
        'Activate a newer script set: simpul scripts list, then simpul scripts activate VERSION.'
    )
    retry = "no"

    def __init__(self, *, script: Any, version: Any, argument: Any, **shown: Any) -> None:
        super().__init__(script=script, version=version, argument=argument, **shown)


class DutyStale(SimpulError):
    """Another node does this partition's duties."""

    code = "duty_stale"
    status = 409
    title = "Another node does this partition's duties"
    detail_template = (
        'Partition {partition} is worked on by {duty}; this node was assigned earlier.'
    )
    action = (
        'Nothing: the node stops by itself.'
    )
    retry = "no"

    def __init__(self, *, partition: Any, duty: Any, **shown: Any) -> None:
        super().__init__(partition=partition, duty=duty, **shown)


class RaftForbidden(SimpulError):
    """This endpoint is for the nodes of the cluster only."""

    code = "raft_forbidden"
    status = 403
    title = "This endpoint is for the nodes of the cluster only"
    detail_template = (
        '{path} was refused: {reason}.'
    )
    action = (
        'Give every node the same SIMPUL_CLUSTER_SECRET. Without one, nodes are heard from a loopback address only.'
    )
    retry = "no"

    def __init__(self, *, path: Any, reason: Any, **shown: Any) -> None:
        super().__init__(path=path, reason=reason, **shown)


class RaftMessageInvalid(SimpulError):
    """Not a message between nodes."""

    code = "raft_message_invalid"
    status = 400
    title = "Not a message between nodes"
    detail_template = (
        'The body cannot be used: {reason}.'
    )
    action = (
        'Nothing but another node should call this; if one did, run the same version on all nodes.'
    )
    retry = "no"

    def __init__(self, *, reason: Any, **shown: Any) -> None:
        super().__init__(reason=reason, **shown)


class RaftStranger(SimpulError):
    """The sender is not a member of this node's cluster."""

    code = "raft_stranger"
    status = 409
    title = "The sender is not a member of this node's cluster"
    detail_template = (
        'A message from {sender} was refused: {reason}.'
    )
    action = (
        'Give every node the same CLUSTER_NAME and PEERS, and to each its own SELF_URL as the others have it in PEERS.'
    )
    retry = "no"

    def __init__(self, *, sender: Any, reason: Any, **shown: Any) -> None:
        super().__init__(sender=sender, reason=reason, **shown)


class RaftDiskReplaced(SimpulError):
    """A known node came back with another disk."""

    code = "raft_disk_replaced"
    status = 409
    title = "A known node came back with another disk"
    detail_template = (
        '{sender} has disk {disk}, but this cluster knows it with disk {known}: it may have lost votes and entries it had promised to keep.'
    )
    action = (
        'Give it back its own SIMPUL_DATA folder. If that is gone for good, follow docs/explanation/raft-operation.md, A lost disk.'
    )
    retry = "no"

    def __init__(self, *, sender: Any, disk: Any, known: Any, **shown: Any) -> None:
        super().__init__(sender=sender, disk=disk, known=known, **shown)


class InternalError(SimpulError):
    """A defect in Simpul."""

    code = "internal_error"
    status = 500
    title = "A defect in Simpul"
    detail_template = (
        'The request failed in a way that is not foreseen. It may or may not have taken effect.'
    )
    action = (
        'Please report the line that this node logged, with its reference {reference}.'
    )
    retry = "same-id"

    def __init__(self, **shown: Any) -> None:
        super().__init__(**shown)


BY_CODE: dict[str, type[SimpulError]] = {
    BodyNotJson.code: BodyNotJson,
    PathNotUnicode.code: PathNotUnicode,
    NotFound.code: NotFound,
    MethodNotAllowed.code: MethodNotAllowed,
    BodyTooLarge.code: BodyTooLarge,
    PayloadTooLarge.code: PayloadTooLarge,
    FieldInvalid.code: FieldInvalid,
    FieldMissing.code: FieldMissing,
    FieldUnknown.code: FieldUnknown,
    RequestIdReused.code: RequestIdReused,
    LockHeld.code: LockHeld,
    LockDeadlock.code: LockDeadlock,
    LockNotHeld.code: LockNotHeld,
    NoSuchHold.code: NoSuchHold,
    LockLost.code: LockLost,
    LockReleased.code: LockReleased,
    LockHoldersFull.code: LockHoldersFull,
    LimitMismatch.code: LimitMismatch,
    LockModeMismatch.code: LockModeMismatch,
    LockHoldExceeded.code: LockHoldExceeded,
    LockQuarantine.code: LockQuarantine,
    NoDelegation.code: NoDelegation,
    LeaseNotCovered.code: LeaseNotCovered,
    TokenStale.code: TokenStale,
    LockWaitersFull.code: LockWaitersFull,
    WatchersFull.code: WatchersFull,
    NodeStopping.code: NodeStopping,
    LockIsShared.code: LockIsShared,
    AlreadyAcked.code: AlreadyAcked,
    ReceiptExpired.code: ReceiptExpired,
    ReceiptSuperseded.code: ReceiptSuperseded,
    ExtensionTooLong.code: ExtensionTooLong,
    TopicFull.code: TopicFull,
    TopicPaused.code: TopicPaused,
    TopicInUse.code: TopicInUse,
    TopicSubscribed.code: TopicSubscribed,
    SubscriptionUnknown.code: SubscriptionUnknown,
    SubscriptionsFull.code: SubscriptionsFull,
    TopicUnknown.code: TopicUnknown,
    ConsumersFull.code: ConsumersFull,
    SchedulesFull.code: SchedulesFull,
    TopicKeysWanted.code: TopicKeysWanted,
    VersionMismatch.code: VersionMismatch,
    KeyAbsent.code: KeyAbsent,
    FillSuperseded.code: FillSuperseded,
    TagNotShared.code: TagNotShared,
    OperationRefused.code: OperationRefused,
    StoreUnavailable.code: StoreUnavailable,
    StoreBusy.code: StoreBusy,
    StoreLoading.code: StoreLoading,
    StoreOutOfMemory.code: StoreOutOfMemory,
    StoreReadOnly.code: StoreReadOnly,
    StoreUnsettled.code: StoreUnsettled,
    StoreRefused.code: StoreRefused,
    OutcomeUnknown.code: OutcomeUnknown,
    StoreUnblessed.code: StoreUnblessed,
    ClusterForeign.code: ClusterForeign,
    GenerationExhausted.code: GenerationExhausted,
    FenceMissing.code: FenceMissing,
    FenceStale.code: FenceStale,
    NotCommitted.code: NotCommitted,
    DecisionUnknown.code: DecisionUnknown,
    DiskNotRegistered.code: DiskNotRegistered,
    GenerationMoved.code: GenerationMoved,
    ScriptSetUnknown.code: ScriptSetUnknown,
    ScriptSetFirst.code: ScriptSetFirst,
    ScriptSetInvalid.code: ScriptSetInvalid,
    ScriptSetNotLoaded.code: ScriptSetNotLoaded,
    ScriptSetStrandsData.code: ScriptSetStrandsData,
    ScriptSetMoved.code: ScriptSetMoved,
    ScriptAbsent.code: ScriptAbsent,
    DutyStale.code: DutyStale,
    RaftForbidden.code: RaftForbidden,
    RaftMessageInvalid.code: RaftMessageInvalid,
    RaftStranger.code: RaftStranger,
    RaftDiskReplaced.code: RaftDiskReplaced,
    InternalError.code: InternalError,
}
