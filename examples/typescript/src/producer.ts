import { EventEmitter, once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type Client, Code, ConnectError } from "@connectrpc/connect";
import { type Entry, EntrySchema } from "../gen/logbatcher/v1/entry_pb.js";
import * as pb from "../gen/logbatcher/v1/ingest_pb.js";

const maxWaiting = 10_000; // entries that are not in a request yet; beyond that, send waits
const maxPending = 64; // requests that are not committed
const maxEntries = 1000; // in one request

/**
 * Producer sends entries in order, over one stream at a time. It keeps each request until it is committed: when a stream breaks,
 * it opens another one and sends again what the server does not have.
 */
export class Producer {
  entries = 0;
  readonly refused = new Set<Entry>(); // a refusal may arrive twice
  private readonly waiting: Entry[] = []; // entries without a request
  private pending: pb.IngestStreamRequest[] = []; // requests above the watermark; the first one's sequence is the watermark + 1
  private committed = 0n; // the watermark
  private epoch = 0n;
  private closed = false;
  private pause = 0; // ms before the next stream
  private readonly events = new EventEmitter();

  constructor(
    private readonly client: Client<typeof pb.IngestService>,
    private readonly open: MessageInitShape<typeof pb.OpenSchema>,
  ) {}

  /** Takes an entry. Waits while there are too many. */
  async send(entry: Entry) {
    while (this.waiting.length >= maxWaiting) await once(this.events, "change");
    this.entries++;
    this.waiting.push(entry);
    this.events.emit("change");
  }

  /** There will be no more entries. */
  close() {
    this.closed = true;
    this.events.emit("change");
  }

  /** Returns when everything is committed, after close. */
  async run() {
    while (!this.closed || this.waiting.length > 0 || this.pending.length > 0) {
      try {
        await this.stream();
      } catch (error) {
        if (!(error instanceof ConnectError) || !retryable(error)) throw error;
        this.pause = Math.min(2 * this.pause || 100, 5000);
        console.error(`${error.message}: trying again in ${this.pause} ms, ${this.pending.length} requests are not committed`);
        await sleep(this.pause);
      }
    }
  }

  private async stream() {
    const stream: Stream = { ending: false };
    try {
      for await (const response of this.client.ingestStream(this.requests(stream))) {
        this.receive(response, stream);
        this.events.emit("change");
      }
      if (stream.restart) {
        this.waiting.unshift(...this.pending.flatMap((request) => request.entries));
        [this.epoch, this.committed, this.pending] = [0n, 0n, []];
      }
    } finally {
      stream.ending = true;
      this.events.emit("change");
    }
  }

  private async *requests(stream: Stream) {
    const opening = { ...this.open, epoch: this.epoch, committedSequence: this.committed, client: "example/typescript" };
    yield create(pb.IngestStreamRequestSchema, { open: opening });
    while (!stream.limits && !stream.ending) await once(this.events, "change");
    const limits = stream.limits;
    if (!limits) return;

    if (this.pending.some((request) => !fits(request, limits))) {
      stream.restart = true;
      return;
    }
    let sent = this.committed;
    while (!stream.ending) {
      const request = this.pending[Number(sent - this.committed)] ?? this.next(limits);
      if (request) {
        sent = request.sequence;
        yield request;
      } else if (this.closed && this.waiting.length === 0) {
        return; // Half-closes the stream. The server ends it when everything is committed.
      } else {
        await once(this.events, "change");
      }
    }
  }

  /** Makes the next request of waiting entries. */
  private next(limits: pb.Limits): pb.IngestStreamRequest | undefined {
    const entries: Entry[] = [];
    let bytes = 16; // for the sequence
    while (this.waiting[0] && this.pending.length < maxPending && entries.length < Math.min(maxEntries, limits.maxRequestEntries)) {
      const size = toBinary(EntrySchema, this.waiting[0]).length;
      if (size > limits.maxEntryBytes) {
        this.refuse(this.waiting.shift()!, `it has ${size} bytes, the server takes ${limits.maxEntryBytes}`);
        continue;
      }
      bytes += size + 8; // for its tag and length
      if (bytes > limits.maxRequestBytes) break;
      entries.push(this.waiting.shift()!);
    }
    if (entries.length === 0) return undefined;
    const sequence = this.committed + BigInt(this.pending.length) + 1n;
    const request = create(pb.IngestStreamRequestSchema, { sequence, entries });
    this.pending.push(request);
    this.events.emit("change");
    return request;
  }

  private receive({ welcome, refusals, deadLettered, committedSequence, throttle, drain }: pb.IngestStreamResponse, stream: Stream) {
    if (welcome) {
      [stream.limits, this.epoch, this.pause] = [welcome.limits, welcome.epoch, 0];
      console.error(`welcome to epoch ${welcome.epoch}, resumed: ${welcome.resumed}, committed: ${welcome.committedSequence}`);
    }
    for (const { sequence, index, route, field, message } of refusals) {
      const entry = this.pending[Number(sequence - this.committed) - 1]?.entries[index];
      if (entry) this.refuse(entry, [route, field, message].filter(Boolean).join(": "));
    }
    for (const { rows, table, message } of deadLettered) console.error(`${rows} rows for ${table} are dead letters: ${message}`);
    if (throttle) console.error(throttle.cause ? `the server waits: ${throttle.message}` : "the server reads again");
    if (drain) stream.ending = true;
    // Refusals and dead letters came first: the watermark covers them.
    const watermark = welcome?.committedSequence ?? committedSequence;
    while (this.pending[0] && this.pending[0].sequence <= watermark) this.committed = this.pending.shift()!.sequence;
  }

  private refuse(entry: Entry, why: string) {
    if (!this.refused.has(entry)) console.error(`refused: ${entry.body.slice(0, 80)}: ${why}`);
    this.refused.add(entry);
  }
}

/** What is known of the current stream; the rest outlives it. */
interface Stream {
  limits?: pb.Limits; // of the Welcome
  ending: boolean; // it has ended, or the server asked to drain it: send no more
  restart?: boolean; // its limits are smaller; a request can't be cut once it has a sequence, so its entries need a new epoch
}

function fits(request: pb.IngestStreamRequest, limits: pb.Limits) {
  const { length } = toBinary(pb.IngestStreamRequestSchema, request);
  return request.entries.length <= limits.maxRequestEntries && length <= limits.maxRequestBytes;
}

// The server's own errors have details, and these of them pass (docs/protocol.md). An error without details is the connection's.
function retryable({ code, details }: ConnectError) {
  return details.length === 0 ? code !== Code.Unimplemented : [Code.Unavailable, Code.DeadlineExceeded, Code.Internal].includes(code);
}
