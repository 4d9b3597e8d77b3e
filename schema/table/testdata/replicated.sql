CREATE DATABASE IF NOT EXISTS `logs` ON CLUSTER `main`;
CREATE TABLE IF NOT EXISTS `logs`.`otel_logs` ON CLUSTER `main`
(
    `Timestamp` DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    `TimestampTime` DateTime,
    `TraceId` String CODEC(ZSTD(1)),
    `SpanId` String CODEC(ZSTD(1)),
    `TraceFlags` UInt8,
    `SeverityText` LowCardinality(String) CODEC(ZSTD(1)),
    `SeverityNumber` UInt8,
    `ServiceName` LowCardinality(String) CODEC(ZSTD(1)),
    `Body` String CODEC(ZSTD(1)),
    `ResourceSchemaUrl` LowCardinality(String) CODEC(ZSTD(1)),
    `ResourceAttributes` Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    `ScopeSchemaUrl` LowCardinality(String) CODEC(ZSTD(1)),
    `ScopeName` String CODEC(ZSTD(1)),
    `ScopeVersion` LowCardinality(String) CODEC(ZSTD(1)),
    `ScopeAttributes` Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    `LogAttributes` Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    `EventName` String CODEC(ZSTD(1)),
    `_batch_id` LowCardinality(String) CODEC(ZSTD(1)),
    INDEX `idx_text_trace_id` TraceId TYPE text(tokenizer = 'array'),
    INDEX `idx_text_res_attr_key` mapKeys(ResourceAttributes) TYPE text(tokenizer = 'array'),
    INDEX `idx_text_res_attr_value` mapValues(ResourceAttributes) TYPE text(tokenizer = 'array'),
    INDEX `idx_text_scope_attr_key` mapKeys(ScopeAttributes) TYPE text(tokenizer = 'array'),
    INDEX `idx_text_scope_attr_value` mapValues(ScopeAttributes) TYPE text(tokenizer = 'array'),
    INDEX `idx_text_log_attr_key` mapKeys(LogAttributes) TYPE text(tokenizer = 'array'),
    INDEX `idx_text_log_attr_value` mapValues(LogAttributes) TYPE text(tokenizer = 'array'),
    INDEX `idx_text_lower_body` lower(Body) TYPE text(tokenizer = 'splitByNonAlpha')
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/otel_logs', '{replica}')
PARTITION BY toDate(TimestampTime)
PRIMARY KEY (ServiceName, TimestampTime)
ORDER BY (ServiceName, TimestampTime, Timestamp)
TTL TimestampTime + INTERVAL 90 DAY
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, index_granularity = 8192, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800, ttl_only_drop_parts = 1;
