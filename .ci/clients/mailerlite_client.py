"""Drives a local MailerLite with the official Python client, as people do."""

import os

import mailerlite
from mailerlite.api_client import ApiClient
from requests import HTTPError

from checks import check, end, same

# The client has no option for it.
ApiClient.HOST = os.environ["MAILERLITE_URL"] + "/"


def connect(key):
    return mailerlite.Client({"api_key": key, "api_version": "2026-03-01"})


client = connect(os.environ["MAILERLITE_API_KEY"])


def refused(call, status):
    try:
        call()
    except HTTPError as error:
        same(error.response.status_code, status)
        return error.response.json()
    raise AssertionError("it was not refused")


def add(email, **more):
    return client.subscribers.create(email, **more)["data"]


@check
def a_subscriber_is_made_written_found_and_counted():
    made = add("Ann@example.com", fields={"name": "Ann", "city": "Ulm"})
    same((made["email"], made["status"]), ("ann@example.com", "active"))
    again = client.subscribers.update("ann@example.com", fields={"city": "Bonn"})["data"]
    same((again["id"], again["fields"]["name"]), (made["id"], "Ann"))
    same(again["fields"]["city"], "Bonn")
    same(client.subscribers.get(int(made["id"]))["data"]["email"], "ann@example.com")
    same(client.subscribers.get("ann@example.com")["data"]["id"], made["id"])
    same(client.subscribers.count(), {"total": 1})


@check
def a_list_goes_on_by_its_cursor_and_filters():
    for name in ["p1", "p2", "p3"]:
        add(f"{name}@example.com")
    first = client.subscribers.list(limit=2, filter={"status": "active"})
    same([row["email"] for row in first["data"]], ["p3@example.com", "p2@example.com"])
    second = client.subscribers.list(limit=1, cursor=first["meta"]["next_cursor"])
    same([row["email"] for row in second["data"]], ["p1@example.com"])


@check
def groups_are_made_joined_listed_left_and_deleted():
    group = int(client.groups.create("Partners")["data"]["id"])
    member = int(add("member@example.com")["id"])
    same(client.subscribers.assign_subscriber_to_group(member, group)["data"]["name"], "Partners")
    members = client.groups.get_group_subscribers(group, limit=10, filter={"status": "active"})
    same([row["id"] for row in members["data"]], [str(member)])
    found = client.groups.list(limit=10, page=1, filter={"name": "artner"}, sort="name")
    same([one["active_count"] for one in found["data"]], [1])
    same(client.subscribers.unassign_subscriber_from_group(member, group), True)
    same(client.groups.update(group, "Friends")["data"]["name"], "Friends")
    same(client.groups.delete(group), True)


@check
def fields_are_made_renamed_and_deleted():
    made = client.fields.create("Loyalty tier", "date")["data"]
    renamed = client.fields.update(int(made["id"]), "Tier")["data"]
    same((renamed["name"], renamed["key"], renamed["type"]), ("Tier", "loyalty_tier", "date"))
    same(client.fields.list(limit=100)["meta"]["total"], 9)
    same(client.fields.delete(int(made["id"])), True)


@check
def a_batch_answers_for_each_call():
    requests = [
        {"method": "GET", "path": "api/subscribers/ann@example.com"},
        {"method": "POST", "path": "api/subscribers", "body": {"email": "nowhere"}},
    ]
    batch = client.batches.request(requests)
    same([one["code"] for one in batch["responses"]], [200, 422])
    same((batch["total"], batch["successful"], batch["failed"]), (2, 1, 1))


@check
def an_import_is_read_by_its_id_and_the_client_s_own_path_is_refused():
    group = int(client.groups.create("Imported")["data"]["id"])
    path = f"api/groups/{group}/import-subscribers"
    body = {"subscribers": [{"email": "new@example.com"}]}
    url = client.api_client.request("POST", path, body=body).json()["import_progress_url"]
    progress = client.subscribers.get_import(int(url.rsplit("/", 1)[1]))["data"]
    same((progress["total"], progress["errored"]), (1, 0))
    told = refused(lambda: client.groups.import_subscribers_to_group(group, []), 404)
    assert "has no POST" in told["message"], told


@check
def what_is_refused_is_told_with_its_path():
    invalid = refused(lambda: add("ann@nowhere"), 422)
    assert invalid["errors"]["email"], invalid
    refused(lambda: client.subscribers.get(1), 404)
    same(refused(lambda: connect("x").fields.list(), 401), {"message": "Unauthenticated."})


@check
def who_was_deleted_comes_back_and_who_is_forgotten_is_gone():
    made = add("gone@example.com")
    same(client.subscribers.delete(int(made["id"])), True)
    same(add("gone@example.com")["id"], made["id"])
    same(client.subscribers.forget(int(made["id"])), True)
    refused(lambda: client.subscribers.get("gone@example.com"), 404)


@check
def webhooks_are_made_read_changed_and_deleted():
    made = client.webhooks.create(["subscriber.updated"], "https://host/hook", "H")["data"]
    number = int(made["id"])
    same(client.webhooks.get(number)["data"]["secret"], made["secret"])
    same(len(client.webhooks.list()["data"]), 1)
    same(client.webhooks.update(number, name="I", enabled=False)["data"]["enabled"], False)
    same(client.webhooks.delete(number), True)


end()
