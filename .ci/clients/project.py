"""Reads the stand-in for PostgREST with the official Python client, as people do."""

import os

from postgrest import APIError, CountMethod, SyncPostgrestClient

from checks import check, end, same

URL = os.environ["SUPABASE_URL"] + "/rest/v1"


def connect(key):
    return SyncPostgrestClient(URL, headers={"apikey": key}, retry_enabled=False)


client = connect(os.environ["SUPABASE_SECRET_KEY"])


def ids(call):
    return [row["id"] for row in call.execute().data]


def refused(call, code):
    try:
        call.execute()
    except APIError as error:
        same(error.code, code)
        return error
    raise AssertionError("it was not refused")


def books():
    return client.from_("books")


@check
def columns_are_selected_and_cast():
    found = books().select("number:id::text", "title", "price").eq("id", 2).execute().data
    same(found, [{"number": "2", "title": "Two, too (2)", "price": 1.5}])


@check
def filters_find_their_rows():
    def by():
        return books().select("id").order("id")

    same(ids(by().gt("id", 1).lte("id", 3)), [2, 3])
    same(ids(by().in_("title", ["One", "nothing"])), [1])
    same(ids(by().is_("author_id", "null")), [3, 4])
    same(ids(by().not_.is_("author_id", "null")), [1, 2])
    same(ids(by().like("title", "%ee")), [3])
    same(ids(by().or_("id.eq.4,and(author_id.eq.1,id.gte.2)")), [2, 4])


@check
def rows_are_ordered_and_paged():
    same(ids(books().select("id").order("author_id", nullsfirst=True).order("id")), [3, 4, 1, 2])
    same(ids(books().select("id").order("id", desc=True).limit(2).offset(1)), [3, 2])


@check
def a_range_is_a_page_and_the_count_is_of_all():
    page = books().select("id", count=CountMethod.exact).order("id").range(1, 2).execute()
    same((page.data, page.count), ([{"id": 2}, {"id": 3}], 4))
    same(books().select("*", count=CountMethod.exact, head=True).execute().count, 4)


@check
def one_row_is_an_object():
    same(books().select("id").eq("id", 1).single().execute().data, {"id": 1})
    refused(books().select("id").single(), "PGRST116")
    same(books().select("id").eq("id", 99).maybe_single().execute(), None)


@check
def functions_are_called():
    same(client.rpc("add", {"a": 2}).execute().data, 4)
    same(client.rpc("add", {"a": 2, "b": 3}, get=True).execute().data, 5)
    same(client.rpc("cheaper", {"than": 1}).execute().data[0]["id"], 1)
    same(client.rpc("echo", {"payload": {"a": None}}).execute().data, {"a": None})


@check
def what_is_refused_is_told_with_its_code():
    refused(books().select("nope"), "42703")
    refused(client.from_("nowhere").select("*"), "PGRST205")
    error = refused(client.rpc("fail", {}), "P0001")
    same((error.message, error.details, error.hint), ("no luck", "none at all", "try again"))


@check
def a_legacy_key_opens_and_the_browsers_key_does_not():
    legacy = connect(os.environ["SUPABASE_SERVICE_ROLE_KEY"])
    same(ids(legacy.from_("books").select("id").eq("id", 1)), [1])
    refused(connect(os.environ["SUPABASE_ANON_KEY"]).from_("books").select("id"), "42501")


end()
