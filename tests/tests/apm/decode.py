"""Reads requests of OTLP with the official package for Python.

A request is a line of JSON on stdin: {"signal", "body"}, the body as protobuf in base64. The answer is a line on
stdout: the message in the JSON of OTLP, but for attributes and bodies, which are plain values.
"""

import base64
import json
import sys

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

REQUESTS = {
    "logs": ExportLogsServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "traces": ExportTraceServiceRequest,
}
IDS = {"traceId", "spanId", "parentSpanId"}


def decoded(signal, body):
    message = REQUESTS[signal]()
    message.ParseFromString(body)
    size = message.ByteSize()
    message.DiscardUnknownFields()
    if message.ByteSize() != size:
        raise ValueError(f"a request with {signal} has fields that OTLP does not know")
    return plain(MessageToDict(message))


def plain(value):
    if isinstance(value, list):
        return [plain(it) for it in value]
    if not isinstance(value, dict):
        return value
    return {name: member(name, it) for name, it in value.items()}


def member(name, value):
    if name in IDS:
        return base64.b64decode(value).hex()
    if name == "attributes":
        return attributes(value)
    if name == "body":
        return any_value(value)
    return plain(value)


def attributes(pairs):
    names = [pair["key"] for pair in pairs]
    if len(set(names)) != len(names):
        raise ValueError(f"an attribute is there twice: {names}")
    return {pair["key"]: any_value(pair["value"]) for pair in pairs}


def any_value(value):
    [(kind, it)] = value.items()
    if kind == "intValue":
        return int(it)
    if kind == "arrayValue":
        return [any_value(each) for each in it.get("values", [])]
    if kind == "kvlistValue":
        return attributes(it.get("values", []))
    return it


for line in sys.stdin:
    request = json.loads(line)
    answer = decoded(request["signal"], base64.b64decode(request["body"]))
    print(json.dumps(answer), flush=True)
