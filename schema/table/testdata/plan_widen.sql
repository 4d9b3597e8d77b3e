-- logs.otel_logs
-- change column SeverityNumber: type UInt8 to UInt16
-- change column Body: comment, codec CODEC(ZSTD(1)) to CODEC(ZSTD(3))
-- change column ScopeName: type String to LowCardinality(String)
-- add column EventName String
-- add column _batch_id LowCardinality(String)
-- add index idx_span_id (new parts have it, older ones when they are merged)
-- setting non_replicated_deduplication_window = 10000
-- TTL TimestampTime + INTERVAL 60 DAY
ALTER TABLE `logs`.`otel_logs` ON CLUSTER `main`
    (MODIFY COLUMN IF EXISTS `SeverityNumber` UInt16),
    (MODIFY COLUMN IF EXISTS `Body` COMMENT 'the message' CODEC(ZSTD(3))),
    (MODIFY COLUMN IF EXISTS `ScopeName` LowCardinality(String)),
    (ADD COLUMN IF NOT EXISTS `EventName` String CODEC(ZSTD(1)) AFTER `LogAttributes`),
    (ADD COLUMN IF NOT EXISTS `_batch_id` LowCardinality(String) CODEC(ZSTD(1)) AFTER `EventName`),
    (ADD INDEX IF NOT EXISTS `idx_span_id` SpanId TYPE bloom_filter(0.01) GRANULARITY 1),
    (MODIFY SETTING non_replicated_deduplication_window = 10000),
    (MODIFY TTL TimestampTime + INTERVAL 60 DAY)
SETTINGS alter_sync = 2;
