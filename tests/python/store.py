"""Object storage for the tests: moto, behind a check of each request's signature that is
independent of the client's, and with troubles on demand.

    store.py [PORT]     prints the port on which it serves; keeps everything in memory, and
                        has the empty bucket `logs`

GET /-/TROUBLE changes how it behaves from then on:

    none                as it should
    full                a put is refused for want of room
    slow                every answer takes 200 ms
    down                503
    careless            the conditions of a put are passed over
    lost                the first put of each name is done, and answered with 503
"""

import datetime
import hashlib
import hmac
import logging
import re
import sys
import threading
import time
import urllib.parse

from moto.s3.models import s3_backends
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

NAME, SECRET, REGION = "tests", "a-secret-that-no-log-may-show", "eu-test-1"


def signature(method: str, path: str, query: list, headers: dict) -> str:
    """AWS Signature Version 4 in a query, from its description."""
    given = dict(query)
    signed = given["X-Amz-SignedHeaders"].split(";")
    quoted = sorted(
        (urllib.parse.quote(k, safe="-_.~"), urllib.parse.quote(v, safe="-_.~"))
        for k, v in query
        if k != "X-Amz-Signature"
    )
    canonical = "\n".join(
        [
            method,
            urllib.parse.quote(path, safe="/-_.~"),
            "&".join(f"{k}={v}" for k, v in quoted),
            "".join(f"{name}:{headers[name].strip()}\n" for name in signed),
            ";".join(signed),
            "UNSIGNED-PAYLOAD",
        ]
    )
    name, day, region, service, end = given["X-Amz-Credential"].split("/")
    assert (name, region, service, end) == (NAME, REGION, "s3", "aws4_request")
    scope = f"{day}/{region}/{service}/{end}"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{given['X-Amz-Date']}\n{scope}\n{digest}"
    key = ("AWS4" + SECRET).encode()
    for part in (day, region, service, end):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def is_signed(environ: dict) -> bool:
    """Whether the request is signed with our secret, its conditions included, and not long
    ago."""
    query = urllib.parse.parse_qsl(environ["QUERY_STRING"], keep_blank_values=True)
    headers = {
        key[5:].replace("_", "-").lower(): value
        for key, value in environ.items()
        if key.startswith("HTTP_")
    }
    try:
        given = dict(query)
        signed = given["X-Amz-SignedHeaders"].split(";")
        conditions = {"if-match", "if-none-match"} & set(headers)
        made = datetime.datetime.strptime(given["X-Amz-Date"], "%Y%m%dT%H%M%SZ")
        age = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None) - made
        wanted = signature(environ["REQUEST_METHOD"], environ["PATH_INFO"], query, headers)
        return (
            wanted == given["X-Amz-Signature"]
            and conditions <= set(signed)
            and "host" in signed
            and abs(age.total_seconds()) < 900
        )
    except (AssertionError, KeyError, ValueError):
        return False


class Store:
    """The application."""

    def __init__(self):
        self.moto = DomainDispatcherApplication(create_backend_app)
        self.trouble = "none"
        # Conditions are looked at and kept to in one step, as storage does.
        self.puts = threading.Lock()
        self.lost = set()
        s3_backends["123456789012"]["aws"].create_bucket("logs", "us-east-1")

    def __call__(self, environ, start):
        def refuse(status: str, code: str):
            start(status, [("Content-Type", "application/xml"), ("Connection", "close")])
            return [f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()]

        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if changed := re.fullmatch(r"/-/([a-z]+)", path):
            self.trouble = changed[1]
            start("200 OK", [])
            return [b""]
        if self.trouble == "down":
            return refuse("503 Service Unavailable", "SlowDown")
        if self.trouble == "slow":
            time.sleep(0.2)
        if not is_signed(environ):
            return refuse("403 Forbidden", "SignatureDoesNotMatch")
        if method == "PUT" and self.trouble == "full":
            return refuse("507 Insufficient Storage", "XMinioStorageFull")
        if self.trouble == "careless":
            environ.pop("HTTP_IF_MATCH", None)
            environ.pop("HTTP_IF_NONE_MATCH", None)
        if method != "PUT":
            return self.moto(environ, start)
        with self.puts:
            if self.trouble == "lost" and path not in self.lost:
                self.lost.add(path)
                list(self.moto(environ, lambda *_: None))
                return refuse("503 Service Unavailable", "SlowDown")
            return self.moto(environ, start)


if __name__ == "__main__":
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    server = make_server("127.0.0.1", port, Store(), threaded=True)
    print(f"serves on {server.port}", flush=True)
    server.serve_forever()
