"""A collector of traces: takes OTLP over HTTP by OpenTelemetry's own definitions.

Says where it is in one line of JSON, then each span that it gets in another; serves until its standard input ends.
What was sent is kept as it came, in the file that is named.
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

KEPT = open(sys.argv[1], "ab", buffering=0)
TOKEN = sys.argv[2]
LINE = threading.Lock()


def say(document):
    with LINE:
        print(json.dumps(document), flush=True)


def attributes(pairs):
    named = {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
    assert len(named) == len(pairs), "an attribute stands twice"
    return named


def described(resource, span):
    return {
        "service": attributes(resource.attributes)["service.name"],
        "trace": span.trace_id.hex(),
        "id": span.span_id.hex(),
        "parent": span.parent_span_id.hex(),
        "name": span.name,
        "kind": Span.SpanKind.Name(span.kind),
        "took": span.end_time_unix_nano - span.start_time_unix_nano,
        "failed": span.status.code == Status.STATUS_CODE_ERROR,
        "attributes": attributes(span.attributes),
    }


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        KEPT.write(str(self.headers).replace(TOKEN, "").encode() + body)
        if self.path != "/v1/traces" or self.headers["Content-Type"] != "application/x-protobuf":
            return self.answer(404)
        if self.headers["X-Collector-Key"] != TOKEN:
            return self.answer(401)
        request = ExportTraceServiceRequest.FromString(body)
        assert request.SerializeToString(deterministic=True) == body, "not in the form that is sent"
        for sent in request.resource_spans:
            for scope in sent.scope_spans:
                for span in scope.spans:
                    say(described(sent.resource, span))
        self.answer(200, ExportTraceServiceResponse().SerializeToString())

    def answer(self, status, body=b""):
        self.send_response(status)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=server.serve_forever, daemon=True).start()
say({"endpoint": f"http://127.0.0.1:{server.server_port}"})
sys.stdin.read()
