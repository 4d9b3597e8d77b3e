// Sends log records from the OpenTelemetry SDK to LogBatcher, over OTLP/HTTP:
//
//   OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4321 OTEL_SERVICE_NAME=shop node main.mjs
//
// The code is as for any OTLP receiver; only the endpoint is LogBatcher's.

import { diag, DiagConsoleLogger, DiagLogLevel } from "@opentelemetry/api";
import { SeverityNumber } from "@opentelemetry/api-logs";
import { OTLPLogExporter } from "@opentelemetry/exporter-logs-otlp-proto";
import { detectResources, envDetector } from "@opentelemetry/resources";
import { BatchLogRecordProcessor, LoggerProvider } from "@opentelemetry/sdk-logs";

// What LogBatcher refuses is reported as a partial success, and what could not be sent as an error.
diag.setLogger(new DiagConsoleLogger(), DiagLogLevel.WARN);

const provider = new LoggerProvider({
  resource: detectResources({ detectors: [envDetector] }),
  processors: [new BatchLogRecordProcessor({ exporter: new OTLPLogExporter() })],
});
const logger = provider.getLogger("checkout");

logger.emit({
  severityNumber: SeverityNumber.INFO,
  severityText: "INFO",
  body: "hello from the OpenTelemetry SDK in Node",
  attributes: { order: 17, amount: 12.5, items: ["book", "pen"] },
});

// Sends what is left, and waits until LogBatcher has answered: by default, once it is committed.
await provider.shutdown();
