"""Sends entries in order, over one stream at a time."""

import sys
import threading
import time

import grpc

from logbatcher.v1 import ingest_pb2, ingest_pb2_grpc

MAX_WAITING = 10_000  # entries that are not in a request yet; beyond that, send waits
MAX_PENDING = 64  # requests that are not committed
MAX_ENTRIES = 1000  # in one request

# The codes that pass by themselves, or that gRPC uses for a broken connection (docs/protocol.md).
RETRYABLE = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNKNOWN,
}


class Stream:
    """What is known of the current stream; the rest outlives it."""

    limits = None  # of the Welcome
    ending = False  # it has ended, or the server asked to drain it: send no more
    restart = False  # its limits are smaller; a request can't be cut once it has a sequence, so its entries need a new epoch


class Producer:
    """Keeps each request until it is committed: when a stream breaks, it opens another one and sends again what the server does
    not have. One thread calls run, another one send and close, and gRPC's own thread takes the requests."""

    def __init__(self, channel, opening):
        self.entries = 0
        self.refused = set()  # a refusal may arrive twice
        self._stub = ingest_pb2_grpc.IngestServiceStub(channel)
        self._opening = opening
        self._changed = threading.Condition()  # guards what follows
        self._waiting = []  # entries without a request
        self._pending = []  # requests above the watermark; the first one's sequence is the watermark + 1
        self._committed = 0  # the watermark
        self._epoch = 0
        self._closed = False
        self._pause = 0  # seconds before the next stream

    def send(self, entry):
        """Takes an entry. Waits while there are too many."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._waiting) < MAX_WAITING)
            self.entries += 1
            self._waiting.append(entry)
            self._changed.notify_all()

    def close(self):
        """There will be no more entries."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def run(self):
        """Returns when everything is committed, after close."""
        while not self._closed or self._waiting or self._pending:
            try:
                self._stream()
            except grpc.RpcError as error:
                if error.code() not in RETRYABLE:
                    raise
                self._pause = min(2 * self._pause or 0.1, 5)
                say(f"{error.details()}: trying again in {self._pause} s, {len(self._pending)} requests are not committed")
                time.sleep(self._pause)

    def _stream(self):
        stream = Stream()
        try:
            for response in self._stub.IngestStream(self._requests(stream)):
                with self._changed:
                    self._receive(response, stream)
                    self._changed.notify_all()
            if stream.restart:
                with self._changed:
                    self._waiting[:0] = [entry for request in self._pending for entry in request.entries]
                    self._epoch, self._committed, self._pending = 0, 0, []
        finally:
            with self._changed:
                stream.ending = True
                self._changed.notify_all()

    def _requests(self, stream):
        opening = ingest_pb2.Open(epoch=self._epoch, committed_sequence=self._committed, client="example/python")
        opening.MergeFrom(self._opening)
        yield ingest_pb2.IngestStreamRequest(open=opening)
        with self._changed:
            self._changed.wait_for(lambda: stream.limits or stream.ending)
            if stream.limits and any(not fits(request, stream.limits) for request in self._pending):
                stream.restart = True
                return
            sent = self._committed
        while True:
            with self._changed:
                while not stream.ending and sent == self._committed + len(self._pending) and not self._next(stream.limits):
                    if self._closed and not self._waiting:
                        return  # Half-closes the stream. The server ends it when everything is committed.
                    self._changed.wait()
                if stream.ending:
                    return
                request = self._pending[sent - self._committed]
            sent = request.sequence
            yield request

    def _next(self, limits):
        """Makes the next request of waiting entries. Returns whether there is one."""
        count, size = 0, 16  # bytes for the sequence
        while count < min(len(self._waiting), MAX_ENTRIES, limits.max_request_entries) and len(self._pending) < MAX_PENDING:
            entry = self._waiting[count]
            if entry.ByteSize() > limits.max_entry_bytes:
                self._refuse(len(self.refused), entry, f"it has {entry.ByteSize()} bytes, the server takes {limits.max_entry_bytes}")
                del self._waiting[count]
                continue
            size += entry.ByteSize() + 8  # for its tag and length
            if size > limits.max_request_bytes:
                break
            count += 1
        if count > 0:
            sequence = self._committed + len(self._pending) + 1
            self._pending.append(ingest_pb2.IngestStreamRequest(sequence=sequence, entries=self._waiting[:count]))
            del self._waiting[:count]
            self._changed.notify_all()
        return count > 0

    def _receive(self, response, stream):
        watermark = response.committed_sequence
        if response.HasField("welcome"):
            welcome = response.welcome
            stream.limits, self._epoch, self._pause, watermark = welcome.limits, welcome.epoch, 0, welcome.committed_sequence
            say(f"welcome to epoch {welcome.epoch}, resumed: {str(welcome.resumed).lower()}, committed: {welcome.committed_sequence}")
        for refusal in response.refusals:
            request = self._pending[refusal.sequence - self._committed - 1]
            why = ": ".join(filter(None, [refusal.route, refusal.field, refusal.message]))
            self._refuse((self._epoch, refusal.sequence, refusal.index), request.entries[refusal.index], why)
        for letter in response.dead_lettered:
            say(f"{letter.rows} rows for {letter.table} are dead letters: {letter.message}")
        if response.HasField("throttle"):
            say(f"the server waits: {response.throttle.message}" if response.throttle.cause else "the server reads again")
        if response.HasField("drain"):
            stream.ending = True
        # Refusals and dead letters came first: the watermark covers them.
        while self._pending and self._pending[0].sequence <= watermark:
            self._committed = self._pending.pop(0).sequence

    def _refuse(self, key, entry, why):
        if key not in self.refused:
            say(f"refused: {entry.body[:80]}: {why}")
        self.refused.add(key)


def fits(request, limits):
    return len(request.entries) <= limits.max_request_entries and request.ByteSize() <= limits.max_request_bytes


def say(text):
    print(text, file=sys.stderr, flush=True)
