"""Has the official Python client call the function through the local QStash of a demo that runs."""

import os

from qstash import QStash
from qstash.log import LogState

from checks import check, end, until

APP_URL = os.environ["APP_URL"]
SYNC = f"{APP_URL}/api/background/sync/slave-to-prod"
client = QStash(os.environ["QSTASH_TOKEN"], base_url=os.environ["QSTASH_URL"])


def ended(message_id):
    ends = (LogState.DELIVERED, LogState.FAILED)
    logs = client.log.list(filter={"message_id": message_id}).logs
    return next((log.state for log in logs if log.state in ends), None)


def dead(message_id):
    messages = client.dlq.list(filter={"message_id": message_id}).messages
    return messages[0].response_status if messages else None


@check
def the_functions_schedule_is_there():
    schedule = client.schedule.get("syncline-slave-to-prod")
    found = schedule.cron, schedule.destination, schedule.retries
    assert found == ("0 */6 * * *", SYNC, 2), found


@check
def the_function_accepts_what_QStash_signs_for_it():
    sent = client.message.publish_json(url=SYNC, body={"type": "scheduled"}, retries=0)
    state = until("the delivery", lambda: ended(sent.message_id))
    assert state == LogState.DELIVERED, state


@check
def the_function_refuses_what_was_signed_for_another_address():
    url = SYNC.replace("127.0.0.1", "localhost")
    sent = client.message.publish_json(url=url, body={}, retries=0)
    status = until("its end", lambda: dead(sent.message_id))
    assert status == 401, status


@check
def what_no_retry_mends_is_not_retried():
    url = f"{APP_URL}/api/background/sync/failure"
    sent = client.message.publish_json(url=url, body={"no": "callback"}, retries=3)
    status = until("its end", lambda: dead(sent.message_id))
    assert status == 489, status


end()
