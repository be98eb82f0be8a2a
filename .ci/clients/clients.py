"""Drives a local QStash with the official Python client, and checks what it delivers with the official
receiver."""

import base64
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from qstash import QStash, Receiver
from qstash.errors import QStashError, SignatureError
from qstash.log import LogState

from checks import check, end, same, until

URL = os.environ["QSTASH_URL"]
TOKEN = os.environ["QSTASH_TOKEN"]
KEYS = os.environ["QSTASH_CURRENT_SIGNING_KEY"], os.environ["QSTASH_NEXT_SIGNING_KEY"]

arrived = []


class Destination(BaseHTTPRequestHandler):
    """Remembers what it gets, and fails where its path says so."""

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        arrived.append((self.command, self.path, self.headers, body))
        answer = f"answer to {self.path}".encode()
        final = self.path.startswith("/final")
        self.send_response(489 if final else 500 if self.path.startswith("/fail") else 200)
        if final:
            self.send_header("Upstash-NonRetryable-Error", "true")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Destination)
threading.Thread(target=server.serve_forever, daemon=True).start()
HERE = f"http://127.0.0.1:{server.server_address[1]}"

client = QStash(TOKEN, base_url=URL)
receiver = Receiver(*KEYS)


def arrivals(path, count=1):
    """What arrived at a path, once there is as much of it, and all of it signed for its URL."""

    def at():
        return [one for one in arrived if one[1] == path]

    until(f"{count} at {path}", lambda: len(at()) >= count)
    for _, _, headers, body in at():
        receiver.verify(signature=headers["Upstash-Signature"], body=body, url=HERE + path)
    same(len(at()), count)
    return at()


def refused(call, status):
    try:
        call()
    except QStashError as error:
        assert f"status: {status}" in str(error), error
        return
    raise AssertionError("it was not refused")


def dead_letter(message_id):
    listed = lambda: client.dlq.list(filter={"message_id": message_id}).messages
    return until("a dead letter", listed)[0]


@check
def a_message_is_delivered_as_it_was_published():
    sent = client.message.publish(
        url=f"{HERE}/plain//a%2Fb/?q=1",
        method="PUT",
        body="raw body",
        content_type="text/plain",
        headers={"X-Own": "mine"},
    )
    method, _, headers, body = arrivals("/plain//a%2Fb/?q=1")[0]
    same((method, body, headers["X-Own"]), ("PUT", "raw body", "mine"))
    same(headers["Content-Type"], "text/plain")
    same(headers["Upstash-Message-Id"], sent.message_id)
    same(headers["Authorization"], None)


@check
def json_is_delivered_as_json():
    client.message.publish_json(url=f"{HERE}/json", body={"a": [1, None]})
    _, _, headers, body = arrivals("/json")[0]
    same((headers["Content-Type"], json.loads(body)), ("application/json", {"a": [1, None]}))


@check
def the_receiver_refuses_another_body():
    client.message.publish(url=f"{HERE}/forged", body="genuine")
    _, _, headers, _ = arrivals("/forged")[0]
    try:
        receiver.verify(signature=headers["Upstash-Signature"], body="another")
    except SignatureError:
        return
    raise AssertionError("it was accepted")


@check
def the_same_id_is_delivered_once():
    url = f"{HERE}/once"
    first = client.message.publish(url=url, deduplication_id="py-1")
    second = client.message.publish(url=url, deduplication_id="py-1")
    same((second.message_id, second.deduplicated), (first.message_id, True))
    arrivals("/once")


@check
def a_delayed_message_is_told_and_cancelled():
    def publish(**more):
        return client.message.publish(url=f"{HERE}/late", delay="1h", **more).message_id

    message_id = publish(retries=2, label="mine", flow_control={"key": "py", "parallelism": 5})
    message = client.message.get(message_id)
    same((message.url, message.max_retries, message.label), (f"{HERE}/late", 2, "mine"))
    same(message.not_before - message.created_at, 3_600_000)
    same((message.flow_control.key, message.flow_control.parallelism), ("py", 5))
    client.message.cancel(message_id)
    refused(lambda: client.message.get(message_id), 404)


@check
def a_batch_answers_in_its_order():
    url = f"{HERE}/batch"
    answers = client.message.batch([{"url": url, "body": "one"}, {"url": url, "body": "two"}])
    same(len(answers), 2)
    same(sorted(body for _, _, _, body in arrivals("/batch", 2)), ["one", "two"])
    client.message.batch_json([{"url": f"{HERE}/batch-json", "body": {"a": 1}}])
    same(json.loads(arrivals("/batch-json")[0][3]), {"a": 1})


@check
def a_failing_message_is_retried_called_back_about_and_dead():
    sent = client.message.publish(
        url=f"{HERE}/fail/py",
        body="source",
        retries=1,
        retry_delay="50",
        callback=f"{HERE}/callback",
        failure_callback=f"{HERE}/failure",
    )
    attempts = arrivals("/fail/py", 2)
    same([headers["Upstash-Retried"] for _, _, headers, _ in attempts], ["0", "1"])
    same([json.loads(body)["retried"] for _, _, _, body in arrivals("/callback", 2)], [0, 1])
    failure = json.loads(arrivals("/failure")[0][3])
    letter = dead_letter(sent.message_id)
    same((failure["sourceMessageId"], failure["status"]), (sent.message_id, 500))
    same((failure["dlqId"], base64.b64decode(failure["sourceBody"])), (letter.dlq_id, b"source"))
    same((letter.response_status, letter.response_body), (500, "answer to /fail/py"))


@check
def the_log_tells_each_step_of_a_message():
    message_id = client.message.publish(url=f"{HERE}/logged").message_id
    states = lambda: [log.state for log in client.log.list(filter={"message_id": message_id}).logs]
    until("its end", lambda: LogState.DELIVERED in states())
    same([state.value for state in states()], ["DELIVERED", "ACTIVE", "CREATED"])


@check
def a_schedule_is_made_replaced_paused_resumed_and_deleted():
    made = {"schedule_id": "py.schedule-1", "destination": f"{HERE}/tick"}
    same(client.schedule.create(cron="0 */6 * * *", body="old", **made), "py.schedule-1")
    client.schedule.create_json(cron="5 4 * * *", body={"a": 1}, retries=1, delay=60, **made)
    told = client.schedule.get("py.schedule-1")
    same((told.cron, told.destination, told.method), ("5 4 * * *", f"{HERE}/tick", "POST"))
    same((json.loads(told.body), told.retries, told.delay), ({"a": 1}, 1, 60))
    same(told.paused, False)
    same(told.headers["Content-Type"], ["application/json"])
    client.schedule.pause("py.schedule-1")
    same(client.schedule.get("py.schedule-1").paused, True)
    client.schedule.resume("py.schedule-1")
    same([schedule.schedule_id for schedule in client.schedule.list()], ["py.schedule-1"])
    client.schedule.delete("py.schedule-1")
    refused(lambda: client.schedule.get("py.schedule-1"), 404)
    refused(lambda: client.schedule.create(cron="every day", **made), 400)


@check
def a_wrong_token_is_refused():
    refused(lambda: QStash("another", base_url=URL).message.publish(url=HERE), 401)


@check
def the_keys_are_those_that_sign():
    keys = client.signing_key.get()
    same((keys.current, keys.next), KEYS)


server.shutdown()
end()
