"""Streams the lines of standard input to LogBatcher, and exits when all of them are committed:

    python3 main.py --address localhost:4320 --producer shop/0 --service shop < app.log

A line may begin with a time, as in 2026-11-25T09:30:00Z. What is refused is printed; the rest goes on. With --ca the connection
uses TLS, and LOGBATCHER_TOKEN is the token that the server asks for.
"""

import argparse
import datetime
import os
import pathlib
import re
import sys
import threading
import time

import grpc

sys.path.insert(0, str(pathlib.Path(__file__).with_name("gen")))

from logbatcher.v1 import entry_pb2, ingest_pb2  # noqa: E402
from producer import Producer  # noqa: E402


def entry_of(line):
    stamp = re.match(r"\d{4}-\d\d-\d\dT\S+(?= )", line)
    try:
        seconds = datetime.datetime.fromisoformat(stamp[0]).timestamp() if stamp else time.time()
    except ValueError:
        seconds = time.time()
    return entry_pb2.Entry(
        time_unix_nano=int(seconds * 1_000_000) * 1000,
        severity_number=17 if "ERROR" in line else 9,
        body=line,
        attributes=[entry_pb2.Attribute(key="log.iostream", string_value="stdin")],
    )


def read_input(producer):
    sys.stdin.reconfigure(encoding="utf-8", errors="replace")
    for line in sys.stdin:
        producer.send(entry_of(line.rstrip("\r\n")))
    producer.close()


def connect(flags, options):
    if not flags.ca:
        return grpc.insecure_channel(flags.address, options)
    credentials = grpc.ssl_channel_credentials(pathlib.Path(flags.ca).read_bytes())
    if token := os.environ.get("LOGBATCHER_TOKEN"):
        credentials = grpc.composite_channel_credentials(credentials, grpc.access_token_call_credentials(token))
    return grpc.secure_channel(flags.address, credentials, options)


def main():
    parser = argparse.ArgumentParser(description="Streams the lines of standard input to LogBatcher.")
    parser.add_argument("--address", default="localhost:4320")
    parser.add_argument("--producer", default=f"python-{os.getpid()}/0")
    parser.add_argument("--service", default="stdin")
    parser.add_argument("--ca", help="file with the trusted certificates, PEM; none: no TLS")
    flags = parser.parse_args()

    opening = ingest_pb2.Open(
        producer=flags.producer,
        resource_attributes=[entry_pb2.Attribute(key="service.name", string_value=flags.service)],
    )
    options = [
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 5_000),  # instead of two minutes
    ]
    with connect(flags, options) as channel:
        producer = Producer(channel, opening)
        threading.Thread(target=read_input, args=[producer], daemon=True).start()
        try:
            producer.run()
        except grpc.RpcError as error:
            sys.exit(f"{error.code().name}: {error.details()}")
    refused = len(producer.refused)
    print(f"{producer.entries} entries: {producer.entries - refused} committed, {refused} refused")


if __name__ == "__main__":
    main()
