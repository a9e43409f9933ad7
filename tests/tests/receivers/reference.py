"""Reads requests with the reference libraries of Standard Webhooks and CloudEvents for Python.

A request is a line of JSON on stdin: {"kind", "secret", "headers", "body"}, the body in base64. The answer is a
line on stdout: what the library makes of it, or {"refused": why}.
"""

import base64
import json
import sys

from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from standardwebhooks.webhooks import Webhook, WebhookVerificationError


def cloud_event(headers, body):
    event = from_http_event(HTTPMessage(headers=headers, body=body))
    data = event.get_data()
    return {
        "id": event.get_id(),
        "source": event.get_source(),
        "type": event.get_type(),
        "subject": event.get_subject(),
        "time": event.get_time().timestamp(),
        "data": json.loads(data) if isinstance(data, (bytes, str)) else data,
    }


def read(request):
    headers, body = request["headers"], base64.b64decode(request["body"])
    if request["kind"] == "standard-webhooks":
        return Webhook(request["secret"]).verify(body, headers)
    if headers["content-type"].startswith("application/cloudevents-batch+json"):
        # The SDK has no batches: each is an event of the structured mode.
        single = {"content-type": "application/cloudevents+json"}
        return [cloud_event(single, json.dumps(event).encode()) for event in json.loads(body)]
    return [cloud_event(headers, body)]


for line in sys.stdin:
    try:
        answer = {"read": read(json.loads(line))}
    except WebhookVerificationError as error:
        answer = {"refused": str(error)}
    print(json.dumps(answer), flush=True)
