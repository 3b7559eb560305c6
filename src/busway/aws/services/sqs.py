"""SQS at the door: names in, names out. What a queue does is in `queue`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from busway.arn import Scope
from busway.aws.errors import AwsError
from busway.aws.service import Caller, Operation
from busway.aws.services.sqs_wire import (
    batch_answer,
    batch_answer_in_order,
    check_batch,
    known_arn,
    message_answer,
    move_answer,
    outgoing_message,
    page,
    queue_arn,
    queue_url,
    read_each,
    sent_answer,
)
from busway.errors import QueueError
from busway.queue.message import BATCH_BYTES_MAX, message_size
from busway.queue.queues import SqsQueues, VisibilityChange

Answer = dict[str, Any]


class Sqs:
    """The operations of SQS, on standard and FIFO queues."""

    name = "sqs"

    def __init__(self, queues: SqsQueues) -> None:
        self._queues = queues
        self.partial: Mapping[str, str] = {
            "CreateQueue": "encryption settings are stored and nothing is encrypted",
            "AddPermission": "stored in the queue's policy, not enforced",
            "RemovePermission": "edits the queue's policy, which is not enforced",
        }
        self.operations: Mapping[str, Operation] = {
            "AddPermission": self.add_permission,
            "CancelMessageMoveTask": self.cancel_message_move_task,
            "ChangeMessageVisibility": self.change_message_visibility,
            "ChangeMessageVisibilityBatch": self.change_message_visibility_batch,
            "CreateQueue": self.create_queue,
            "DeleteMessage": self.delete_message,
            "DeleteMessageBatch": self.delete_message_batch,
            "DeleteQueue": self.delete_queue,
            "GetQueueAttributes": self.get_queue_attributes,
            "GetQueueUrl": self.get_queue_url,
            "ListDeadLetterSourceQueues": self.list_dead_letter_source_queues,
            "ListMessageMoveTasks": self.list_message_move_tasks,
            "ListQueueTags": self.list_queue_tags,
            "ListQueues": self.list_queues,
            "PurgeQueue": self.purge_queue,
            "ReceiveMessage": self.receive_message,
            "RemovePermission": self.remove_permission,
            "SendMessage": self.send_message,
            "SendMessageBatch": self.send_message_batch,
            "SetQueueAttributes": self.set_queue_attributes,
            "StartMessageMoveTask": self.start_message_move_task,
            "TagQueue": self.tag_queue,
            "UntagQueue": self.untag_queue,
        }

    # Queues.

    async def create_queue(self, request: Answer, caller: Caller) -> Answer:
        queue = await self._queues.create(
            caller.scope, request["QueueName"], request.get("Attributes"), request.get("tags")
        )
        return {"QueueUrl": queue_url(queue, caller)}

    async def get_queue_url(self, request: Answer, caller: Caller) -> Answer:
        account = request.get("QueueOwnerAWSAccountId") or caller.scope.account
        arn = Scope(account, caller.scope.region).arn("sqs", request["QueueName"])
        return {"QueueUrl": queue_url(self._queues.need(arn), caller)}

    async def list_queues(self, request: Answer, caller: Caller) -> Answer:
        found = self._queues.find(caller.scope, request.get("QueueNamePrefix") or "")
        urls, token = page([queue_url(queue, caller) for queue in found], request)
        return {"QueueUrls": urls or None, "NextToken": token}

    async def list_dead_letter_source_queues(self, request: Answer, caller: Caller) -> Answer:
        sources = self._queues.dead_letter_sources(queue_arn(request["QueueUrl"], caller))
        urls, token = page([queue_url(queue, caller) for queue in sources], request)
        return {"queueUrls": urls, "NextToken": token}

    async def delete_queue(self, request: Answer, caller: Caller) -> Answer:
        await self._queues.delete(queue_arn(request["QueueUrl"], caller))
        return {}

    async def purge_queue(self, request: Answer, caller: Caller) -> Answer:
        await self._queues.purge(queue_arn(request["QueueUrl"], caller))
        return {}

    async def get_queue_attributes(self, request: Answer, caller: Caller) -> Answer:
        names: list[str] = request.get("AttributeNames") or []
        shown = await self._queues.attributes(queue_arn(request["QueueUrl"], caller), names)
        return {"Attributes": shown or None}

    async def set_queue_attributes(self, request: Answer, caller: Caller) -> Answer:
        await self._queues.set_attributes(queue_arn(request["QueueUrl"], caller), request["Attributes"])
        return {}

    async def tag_queue(self, request: Answer, caller: Caller) -> Answer:
        await self._queues.tag(queue_arn(request["QueueUrl"], caller), request["Tags"])
        return {}

    async def untag_queue(self, request: Answer, caller: Caller) -> Answer:
        await self._queues.untag(queue_arn(request["QueueUrl"], caller), request["TagKeys"])
        return {}

    async def list_queue_tags(self, request: Answer, caller: Caller) -> Answer:
        queue = self._queues.need(queue_arn(request["QueueUrl"], caller))
        return {"Tags": queue.tags or None}

    async def add_permission(self, request: Answer, caller: Caller) -> Answer:
        arn = queue_arn(request["QueueUrl"], caller)
        await self._queues.add_permission(arn, request["Label"], request["AWSAccountIds"], request["Actions"])
        return {}

    async def remove_permission(self, request: Answer, caller: Caller) -> Answer:
        await self._queues.remove_permission(queue_arn(request["QueueUrl"], caller), request["Label"])
        return {}

    # Moves of messages.

    async def start_message_move_task(self, request: Answer, caller: Caller) -> Answer:
        task = await self._queues.moves.start(
            known_arn("SourceArn", request["SourceArn"]),
            None if "DestinationArn" not in request else known_arn("DestinationArn", request["DestinationArn"]),
            request.get("MaxNumberOfMessagesPerSecond"),
        )
        return {"TaskHandle": task.handle}

    async def list_message_move_tasks(self, request: Answer, caller: Caller) -> Answer:
        found = self._queues.moves.latest(known_arn("SourceArn", request["SourceArn"]), request.get("MaxResults"))
        return {"Results": [move_answer(task) for task in found]}

    async def cancel_message_move_task(self, request: Answer, caller: Caller) -> Answer:
        task = await self._queues.moves.cancel(request["TaskHandle"])
        return {"ApproximateNumberOfMessagesMoved": task.moved}

    # Messages.

    async def send_message(self, request: Answer, caller: Caller) -> Answer:
        arn = queue_arn(request["QueueUrl"], caller)
        (sent,) = await self._queues.send(arn, [outgoing_message(request, caller)], caller.scope.account)
        if isinstance(sent, QueueError):
            raise sent
        return sent_answer(sent)

    async def send_message_batch(self, request: Answer, caller: Caller) -> Answer:
        arn = queue_arn(request["QueueUrl"], caller)
        entries: list[Answer] = request["Entries"]
        check_batch(entries, "SendMessageBatchRequestEntry")
        messages, refused = read_each(entries, lambda entry: outgoing_message(entry, caller))
        total = sum(message_size(message.body.encode(), message.attributes) for message in messages.values())
        if total > BATCH_BYTES_MAX:
            raise AwsError(
                "BatchRequestTooLong",
                f"Batch requests cannot be longer than {BATCH_BYTES_MAX} bytes. You have sent {total} bytes.",
            )
        outcomes = await self._queues.send(arn, list(messages.values()), caller.scope.account)
        sent = dict(zip(messages, outcomes, strict=True))
        return batch_answer([entry["Id"] for entry in entries], sent | refused, sent_answer)

    async def receive_message(self, request: Answer, caller: Caller) -> Answer:
        limit = request.get("MaxNumberOfMessages")
        received = await self._queues.receive(
            queue_arn(request["QueueUrl"], caller),
            1 if limit is None else limit,
            visibility_s=request.get("VisibilityTimeout"),
            wait_s=request.get("WaitTimeSeconds"),
            attempt_id=request.get("ReceiveRequestAttemptId"),
            gone=caller.until_gone,
        )
        system = {*(request.get("AttributeNames") or ()), *(request.get("MessageSystemAttributeNames") or ())}
        chosen = request.get("MessageAttributeNames") or ()
        # AWS leaves the key out when there is nothing; SDKs' users test for it.
        return {"Messages": [message_answer(message, system, chosen) for message in received] or None}

    async def delete_message(self, request: Answer, caller: Caller) -> Answer:
        arn = queue_arn(request["QueueUrl"], caller)
        (refused,) = await self._queues.remove(arn, [request["ReceiptHandle"]])
        if refused is not None:
            raise refused
        return {}

    async def delete_message_batch(self, request: Answer, caller: Caller) -> Answer:
        entries: list[Answer] = request["Entries"]
        check_batch(entries, "DeleteMessageBatchRequestEntry")
        handles = [entry["ReceiptHandle"] for entry in entries]
        outcomes = await self._queues.remove(queue_arn(request["QueueUrl"], caller), handles)
        return batch_answer_in_order(entries, outcomes)

    async def change_message_visibility(self, request: Answer, caller: Caller) -> Answer:
        arn = queue_arn(request["QueueUrl"], caller)
        change = VisibilityChange(request["ReceiptHandle"], request["VisibilityTimeout"])
        (refused,) = await self._queues.change_visibility(arn, [change])
        if refused is not None:
            raise refused
        return {}

    async def change_message_visibility_batch(self, request: Answer, caller: Caller) -> Answer:
        entries: list[Answer] = request["Entries"]
        check_batch(entries, "ChangeMessageVisibilityBatchRequestEntry")
        changes = [VisibilityChange(e["ReceiptHandle"], e.get("VisibilityTimeout") or 0) for e in entries]
        outcomes = await self._queues.change_visibility(queue_arn(request["QueueUrl"], caller), changes)
        return batch_answer_in_order(entries, outcomes)
