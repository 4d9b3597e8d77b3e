"""Streams the lines of standard input to LogBatcher, and exits when all of them are committed:

    python3 main.py --address localhost:4320 --producer shop/0 --service shop < app.log

A line may begin with a time, as in 2026-11-25T09:30:00Z. What is refused is printed; the rest goes on.
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
    sys.stdin.reconfigure(errors="replace")
    for line in sys.stdin:
        producer.send(entry_of(line.rstrip("\n")))
    producer.close()


def main():
    parser = argparse.ArgumentParser(description="Streams the lines of standard input to LogBatcher.")
    parser.add_argument("--address", default="localhost:4320")
    parser.add_argument("--producer", default=f"python-{os.getpid()}/0")
    parser.add_argument("--service", default="stdin")
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
    with grpc.insecure_channel(flags.address, options) as channel:
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
