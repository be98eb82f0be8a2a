"""Has the official Python client call the function through the local QStash of a demo that runs. Prints
`ok NAME` or `FAILED NAME: WHY` for each check; `run` counts them."""

import os
import sys
import time

from qstash import QStash
from qstash.log import LogState

APP_URL = os.environ["APP_URL"]
SYNC = f"{APP_URL}/api/background/sync/slave-to-prod"
client = QStash(os.environ["QSTASH_TOKEN"], base_url=os.environ["QSTASH_URL"])
failed = False


def check(name, body):
    global failed
    try:
        body()
        print(f"ok python: {name}")
    except Exception as error:  # Whatever goes wrong is told.
        failed = True
        print(f"FAILED python: {name}: {error!r}")


def until(what, found):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if value := found():
            return value
        time.sleep(0.05)
    raise AssertionError(f"not in time: {what}")


def ended(message_id):
    ends = (LogState.DELIVERED, LogState.FAILED)
    logs = client.log.list(filter={"message_id": message_id}).logs
    return next((log.state for log in logs if log.state in ends), None)


def dead(message_id):
    messages = client.dlq.list(filter={"message_id": message_id}).messages
    return messages[0].response_status if messages else None


def the_schedule():
    schedule = client.schedule.get("syncline-slave-to-prod")
    found = schedule.cron, schedule.destination, schedule.retries
    assert found == ("0 */6 * * *", SYNC, 2), found


def accepted():
    sent = client.message.publish_json(url=SYNC, body={"type": "scheduled"}, retries=0)
    state = until("the delivery", lambda: ended(sent.message_id))
    assert state == LogState.DELIVERED, state


def refused():
    url = SYNC.replace("127.0.0.1", "localhost")
    sent = client.message.publish_json(url=url, body={}, retries=0)
    status = until("its end", lambda: dead(sent.message_id))
    assert status == 401, status


def not_retried():
    url = f"{APP_URL}/api/background/sync/failure"
    sent = client.message.publish_json(url=url, body={"no": "callback"}, retries=3)
    status = until("its end", lambda: dead(sent.message_id))
    assert status == 489, status


check("the function's schedule is there", the_schedule)
check("the function accepts what QStash signs for it", accepted)
check("the function refuses what was signed for another address", refused)
check("what no retry mends is not retried", not_retried)
sys.exit(failed)
