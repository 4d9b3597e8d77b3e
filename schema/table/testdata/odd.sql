CREATE DATABASE IF NOT EXISTS `it's`;
CREATE TABLE IF NOT EXISTS `it's`.`a\`b\\c`
(
    `k` UInt8 COMMENT 'it\'s' CODEC(T64),
    `v\`w` String DEFAULT 'don\'t',
    `_batch_id` LowCardinality(String) CODEC(ZSTD(1))
)
ENGINE = MergeTree
ORDER BY (k, `v w`)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 10000, storage_policy = 'hot\'cold';
