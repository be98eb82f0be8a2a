#!/usr/bin/env python3
"""Prints a Function URL event with a fresh Upstash-Signature, as QStash would sign it now.

    events/sign.py events/scheduled-sync.json            the event, signed
    events/sign.py --token events/scheduled-sync.json    the token alone, for curl

APP_URL and QSTASH_CURRENT_SIGNING_KEY are read from the environment, as the function reads them.
A token is good for five minutes. Python's standard library is enough.
"""

import base64
import hashlib
import hmac
import json
import os
import sys
import time
import uuid

LIFETIME_SECONDS = 300
ZERO_TIME_OF_GO = -62135596800


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def compact(value):
    return json.dumps(value, separators=(",", ":")).encode()


def raw_body(event):
    """The bytes that were sent: what is hashed is never the base64 that Lambda makes of them."""
    body = event.get("body", "")
    return base64.b64decode(body) if event.get("isBase64Encoded") else body.encode()


def public_url(event, app_url):
    query = event.get("rawQueryString", "")
    return app_url.rstrip("/") + event["rawPath"] + ("?" + query if query else "")


def token(event, app_url, key):
    now = int(time.time())
    claims = {  # In the order, and with the oddities, of live tokens.
        "aud": "",
        "body": base64.urlsafe_b64encode(hashlib.sha256(raw_body(event)).digest()).decode(),
        "exp": now + LIFETIME_SECONDS,
        "iat": now,
        "iss": "Upstash",
        "jti": "jwt_" + uuid.uuid4().hex,
        "nbf": ZERO_TIME_OF_GO,
        "sub": public_url(event, app_url),
    }
    message = base64url(compact({"alg": "HS256", "typ": "JWT"})) + "." + base64url(compact(claims))
    mac = hmac.new(key.encode(), message.encode(), hashlib.sha256).digest()
    return message + "." + base64url(mac)


def setting(name):
    value = os.environ.get(name, "")
    if not value:
        sys.exit(f"{name} is not set: it must be what the function was started with")
    return value


def main():
    arguments = sys.argv[1:]
    token_alone = "--token" in arguments
    files = [argument for argument in arguments if argument != "--token"]
    if len(files) != 1:
        sys.exit(__doc__)
    with open(files[0], encoding="utf-8") as file:
        event = json.load(file)
    signature = token(event, setting("APP_URL"), setting("QSTASH_CURRENT_SIGNING_KEY"))
    if token_alone:
        print(signature)
        return
    event["headers"]["upstash-signature"] = signature
    print(json.dumps(event, indent=2))


main()
