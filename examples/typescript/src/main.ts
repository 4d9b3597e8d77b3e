// Streams the lines of standard input to LogBatcher, and exits when all of them are committed:
//
//   node dist/src/main.js --address http://localhost:4320 --producer shop/0 --service shop < app.log
//
// A line may begin with a time, as in 2026-11-25T09:30:00Z. What is refused is printed; the rest goes on. With an https address the
// connection uses TLS (NODE_EXTRA_CA_CERTS adds trusted certificates); LOGBATCHER_TOKEN is the token that the server asks for.

import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { create } from "@bufbuild/protobuf";
import { createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { EntrySchema } from "../gen/logbatcher/v1/entry_pb.js";
import { IngestService } from "../gen/logbatcher/v1/ingest_pb.js";
import { Producer } from "./producer.js";

const { values: flags } = parseArgs({
  options: {
    address: { type: "string", default: "http://localhost:4320" },
    producer: { type: "string", default: `node-${process.pid}/0` },
    service: { type: "string", default: "stdin" },
  },
});

function entryOf(line: string) {
  const time = /^\d{4}-\d\d-\d\dT\S+(?= )/.exec(line)?.[0] ?? "";
  return create(EntrySchema, {
    timeUnixNano: BigInt(Date.parse(time) || Date.now()) * 1_000_000n,
    severityNumber: /\bERROR\b/.test(line) ? 17 : 9,
    body: line,
    attributes: [{ key: "log.iostream", stringValue: "stdin" }],
  });
}

async function readInput(producer: Producer) {
  for await (const line of createInterface({ input: process.stdin })) await producer.send(entryOf(line));
  producer.close();
}

const token = process.env.LOGBATCHER_TOKEN;
const authorize: Interceptor = (next) => (request) => {
  if (token) request.header.set("authorization", `Bearer ${token}`);
  return next(request);
};
const transport = createGrpcTransport({ baseUrl: flags.address, interceptors: [authorize], pingIntervalMs: 60_000 });
const producer = new Producer(createClient(IngestService, transport), {
  producer: flags.producer,
  resourceAttributes: [{ key: "service.name", stringValue: flags.service }],
});
try {
  await Promise.all([producer.run(), readInput(producer)]);
} catch (error) {
  console.error(String(error));
  process.exit(1);
}
const { size: refused } = producer.refused;
console.log(`${producer.entries} entries: ${producer.entries - refused} committed, ${refused} refused`);
