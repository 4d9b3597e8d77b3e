from logbatcher.v1 import entry_pb2 as _entry_pb2
from logbatcher.v1 import ingest_pb2 as _ingest_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DEAD_LETTER_OUTCOME_CLAIMED: DeadLetterOutcome
DEAD_LETTER_OUTCOME_COMMITTED: DeadLetterOutcome
DEAD_LETTER_OUTCOME_DIVIDED: DeadLetterOutcome
DEAD_LETTER_OUTCOME_DROPPED: DeadLetterOutcome
DEAD_LETTER_OUTCOME_GONE: DeadLetterOutcome
DEAD_LETTER_OUTCOME_OPEN: DeadLetterOutcome
DEAD_LETTER_OUTCOME_PRESENT: DeadLetterOutcome
DEAD_LETTER_OUTCOME_REFUSED: DeadLetterOutcome
DEAD_LETTER_OUTCOME_UNSPECIFIED: DeadLetterOutcome
DESCRIPTOR: _descriptor.FileDescriptor

class DeadLetter(_message.Message):
    __slots__ = ["attempts", "code", "column", "first_unix_nano", "format", "history", "id", "last_unix_nano", "message", "origins", "payload_bytes", "problem", "reason", "route", "rows", "schema_hash", "stream_id", "table"]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    CLASS_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    FIRST_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    LAST_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ORIGINS_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_BYTES_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_HASH_FIELD_NUMBER: _ClassVar[int]
    STREAM_ID_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    attempts: int
    code: int
    column: str
    first_unix_nano: int
    format: str
    history: _containers.RepeatedCompositeFieldContainer[DeadLetterFailure]
    id: str
    last_unix_nano: int
    message: str
    origins: _containers.RepeatedCompositeFieldContainer[DeadLetterOrigin]
    payload_bytes: int
    problem: str
    reason: str
    route: str
    rows: int
    schema_hash: str
    stream_id: str
    table: str
    def __init__(self, id: _Optional[str] = ..., stream_id: _Optional[str] = ..., table: _Optional[str] = ..., route: _Optional[str] = ..., rows: _Optional[int] = ..., code: _Optional[int] = ..., reason: _Optional[str] = ..., column: _Optional[str] = ..., message: _Optional[str] = ..., attempts: _Optional[int] = ..., first_unix_nano: _Optional[int] = ..., last_unix_nano: _Optional[int] = ..., schema_hash: _Optional[str] = ..., format: _Optional[str] = ..., payload_bytes: _Optional[int] = ..., origins: _Optional[_Iterable[_Union[DeadLetterOrigin, _Mapping]]] = ..., history: _Optional[_Iterable[_Union[DeadLetterFailure, _Mapping]]] = ..., problem: _Optional[str] = ..., **kwargs) -> None: ...

class DeadLetterEdit(_message.Message):
    __slots__ = ["column", "null", "omit", "text"]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    NULL_FIELD_NUMBER: _ClassVar[int]
    OMIT_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    column: str
    null: bool
    omit: bool
    text: str
    def __init__(self, column: _Optional[str] = ..., text: _Optional[str] = ..., null: bool = ..., omit: bool = ...) -> None: ...

class DeadLetterFailure(_message.Message):
    __slots__ = ["attempts", "code", "column", "message", "reason", "time_unix_nano"]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    CLASS_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    attempts: int
    code: int
    column: str
    message: str
    reason: str
    time_unix_nano: int
    def __init__(self, time_unix_nano: _Optional[int] = ..., code: _Optional[int] = ..., reason: _Optional[str] = ..., column: _Optional[str] = ..., message: _Optional[str] = ..., attempts: _Optional[int] = ..., **kwargs) -> None: ...

class DeadLetterOrigin(_message.Message):
    __slots__ = ["epoch", "producer", "rows", "sequence", "tenant"]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    PRODUCER_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    producer: str
    rows: int
    sequence: int
    tenant: str
    def __init__(self, producer: _Optional[str] = ..., epoch: _Optional[int] = ..., sequence: _Optional[int] = ..., rows: _Optional[int] = ..., tenant: _Optional[str] = ...) -> None: ...

class DeadLetterReport(_message.Message):
    __slots__ = ["id", "message", "outcome", "rows", "table"]
    ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    id: str
    message: str
    outcome: DeadLetterOutcome
    rows: int
    table: str
    def __init__(self, id: _Optional[str] = ..., table: _Optional[str] = ..., rows: _Optional[int] = ..., outcome: _Optional[_Union[DeadLetterOutcome, str]] = ..., message: _Optional[str] = ...) -> None: ...

class DeadLetterRow(_message.Message):
    __slots__ = ["entry", "values"]
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    entry: str
    values: _containers.RepeatedCompositeFieldContainer[DeadLetterValue]
    def __init__(self, values: _Optional[_Iterable[_Union[DeadLetterValue, _Mapping]]] = ..., entry: _Optional[str] = ...) -> None: ...

class DeadLetterSelection(_message.Message):
    __slots__ = ["all", "codes", "ids", "reason", "since_unix_nano", "table", "until_unix_nano"]
    ALL_FIELD_NUMBER: _ClassVar[int]
    CLASS_FIELD_NUMBER: _ClassVar[int]
    CODES_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SINCE_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    all: bool
    codes: _containers.RepeatedScalarFieldContainer[int]
    ids: _containers.RepeatedScalarFieldContainer[str]
    reason: str
    since_unix_nano: int
    table: str
    until_unix_nano: int
    def __init__(self, ids: _Optional[_Iterable[str]] = ..., table: _Optional[str] = ..., codes: _Optional[_Iterable[int]] = ..., reason: _Optional[str] = ..., since_unix_nano: _Optional[int] = ..., until_unix_nano: _Optional[int] = ..., all: bool = ..., **kwargs) -> None: ...

class DeadLetterValue(_message.Message):
    __slots__ = ["column", "null", "text", "type"]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    NULL_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    column: str
    null: bool
    text: str
    type: str
    def __init__(self, column: _Optional[str] = ..., type: _Optional[str] = ..., text: _Optional[str] = ..., null: bool = ...) -> None: ...

class DropDeadLettersRequest(_message.Message):
    __slots__ = ["execute", "operator", "selection"]
    EXECUTE_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    execute: bool
    operator: str
    selection: DeadLetterSelection
    def __init__(self, selection: _Optional[_Union[DeadLetterSelection, _Mapping]] = ..., execute: bool = ..., operator: _Optional[str] = ...) -> None: ...

class DropDeadLettersResponse(_message.Message):
    __slots__ = ["report"]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    report: DeadLetterReport
    def __init__(self, report: _Optional[_Union[DeadLetterReport, _Mapping]] = ...) -> None: ...

class ExplainRequest(_message.Message):
    __slots__ = ["entry", "open"]
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    entry: _entry_pb2.Entry
    open: _ingest_pb2.Open
    def __init__(self, entry: _Optional[_Union[_entry_pb2.Entry, _Mapping]] = ..., open: _Optional[_Union[_ingest_pb2.Open, _Mapping]] = ...) -> None: ...

class ExplainResponse(_message.Message):
    __slots__ = ["refusals", "routes", "shard_id"]
    REFUSALS_FIELD_NUMBER: _ClassVar[int]
    ROUTES_FIELD_NUMBER: _ClassVar[int]
    SHARD_ID_FIELD_NUMBER: _ClassVar[int]
    refusals: _containers.RepeatedCompositeFieldContainer[_ingest_pb2.Refusal]
    routes: _containers.RepeatedCompositeFieldContainer[RouteExplanation]
    shard_id: str
    def __init__(self, routes: _Optional[_Iterable[_Union[RouteExplanation, _Mapping]]] = ..., refusals: _Optional[_Iterable[_Union[_ingest_pb2.Refusal, _Mapping]]] = ..., shard_id: _Optional[str] = ...) -> None: ...

class ExportDeadLettersRequest(_message.Message):
    __slots__ = ["selection"]
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    selection: DeadLetterSelection
    def __init__(self, selection: _Optional[_Union[DeadLetterSelection, _Mapping]] = ...) -> None: ...

class ExportDeadLettersResponse(_message.Message):
    __slots__ = ["data"]
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class FailedBatch(_message.Message):
    __slots__ = ["attempt", "batch_id", "code", "message", "rows", "time_unix_nano"]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    BATCH_ID_FIELD_NUMBER: _ClassVar[int]
    CLASS_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    attempt: int
    batch_id: str
    code: int
    message: str
    rows: int
    time_unix_nano: int
    def __init__(self, batch_id: _Optional[str] = ..., rows: _Optional[int] = ..., time_unix_nano: _Optional[int] = ..., attempt: _Optional[int] = ..., code: _Optional[int] = ..., message: _Optional[str] = ..., **kwargs) -> None: ...

class FlushRequest(_message.Message):
    __slots__ = ["table"]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    table: str
    def __init__(self, table: _Optional[str] = ...) -> None: ...

class FlushResponse(_message.Message):
    __slots__ = ["batches", "rows"]
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    batches: int
    rows: int
    def __init__(self, batches: _Optional[int] = ..., rows: _Optional[int] = ...) -> None: ...

class GetBooksRequest(_message.Message):
    __slots__ = ["since_unix_nano"]
    SINCE_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    since_unix_nano: int
    def __init__(self, since_unix_nano: _Optional[int] = ...) -> None: ...

class GetBooksResponse(_message.Message):
    __slots__ = ["batches", "instance", "log", "producers", "tables"]
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    PRODUCERS_FIELD_NUMBER: _ClassVar[int]
    TABLES_FIELD_NUMBER: _ClassVar[int]
    batches: _containers.RepeatedCompositeFieldContainer[SettledBatch]
    instance: str
    log: str
    producers: _containers.RepeatedCompositeFieldContainer[ProducerBooks]
    tables: _containers.RepeatedCompositeFieldContainer[TableBooks]
    def __init__(self, instance: _Optional[str] = ..., log: _Optional[str] = ..., tables: _Optional[_Iterable[_Union[TableBooks, _Mapping]]] = ..., producers: _Optional[_Iterable[_Union[ProducerBooks, _Mapping]]] = ..., batches: _Optional[_Iterable[_Union[SettledBatch, _Mapping]]] = ...) -> None: ...

class GetDeadLetterRequest(_message.Message):
    __slots__ = ["first_row", "id", "max_rows"]
    FIRST_ROW_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    MAX_ROWS_FIELD_NUMBER: _ClassVar[int]
    first_row: int
    id: str
    max_rows: int
    def __init__(self, id: _Optional[str] = ..., first_row: _Optional[int] = ..., max_rows: _Optional[int] = ...) -> None: ...

class GetDeadLetterResponse(_message.Message):
    __slots__ = ["letter", "rows", "unreadable"]
    LETTER_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    UNREADABLE_FIELD_NUMBER: _ClassVar[int]
    letter: DeadLetter
    rows: _containers.RepeatedCompositeFieldContainer[DeadLetterRow]
    unreadable: str
    def __init__(self, letter: _Optional[_Union[DeadLetter, _Mapping]] = ..., rows: _Optional[_Iterable[_Union[DeadLetterRow, _Mapping]]] = ..., unreadable: _Optional[str] = ...) -> None: ...

class ListDeadLettersRequest(_message.Message):
    __slots__ = ["page_size", "page_token", "selection"]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    selection: DeadLetterSelection
    def __init__(self, selection: _Optional[_Union[DeadLetterSelection, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDeadLettersResponse(_message.Message):
    __slots__ = ["letters", "next_page_token"]
    LETTERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    letters: _containers.RepeatedCompositeFieldContainer[DeadLetter]
    next_page_token: str
    def __init__(self, letters: _Optional[_Iterable[_Union[DeadLetter, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListProducersRequest(_message.Message):
    __slots__ = ["selection"]
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    selection: ProducerSelection
    def __init__(self, selection: _Optional[_Union[ProducerSelection, _Mapping]] = ...) -> None: ...

class ListProducersResponse(_message.Message):
    __slots__ = ["producer"]
    PRODUCER_FIELD_NUMBER: _ClassVar[int]
    producer: ProducerState
    def __init__(self, producer: _Optional[_Union[ProducerState, _Mapping]] = ...) -> None: ...

class ListRoutesRequest(_message.Message):
    __slots__ = []
    def __init__(self) -> None: ...

class ListRoutesResponse(_message.Message):
    __slots__ = ["routes", "unmatched_entries"]
    ROUTES_FIELD_NUMBER: _ClassVar[int]
    UNMATCHED_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    routes: _containers.RepeatedCompositeFieldContainer[RouteState]
    unmatched_entries: int
    def __init__(self, routes: _Optional[_Iterable[_Union[RouteState, _Mapping]]] = ..., unmatched_entries: _Optional[int] = ...) -> None: ...

class ListShardsRequest(_message.Message):
    __slots__ = []
    def __init__(self) -> None: ...

class ListShardsResponse(_message.Message):
    __slots__ = ["instance", "shards"]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    instance: str
    shards: _containers.RepeatedCompositeFieldContainer[ShardState]
    def __init__(self, shards: _Optional[_Iterable[_Union[ShardState, _Mapping]]] = ..., instance: _Optional[str] = ...) -> None: ...

class OpenBatch(_message.Message):
    __slots__ = ["age_nanos", "batch_id", "bytes", "partition", "rows", "table"]
    AGE_NANOS_FIELD_NUMBER: _ClassVar[int]
    BATCH_ID_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    age_nanos: int
    batch_id: str
    bytes: int
    partition: str
    rows: int
    table: str
    def __init__(self, batch_id: _Optional[str] = ..., table: _Optional[str] = ..., partition: _Optional[str] = ..., rows: _Optional[int] = ..., bytes: _Optional[int] = ..., age_nanos: _Optional[int] = ...) -> None: ...

class OwnProducer(_message.Message):
    __slots__ = ["accepted_sequence", "committed_sequence", "epoch", "idle_nanos", "logged_sequence"]
    ACCEPTED_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    IDLE_NANOS_FIELD_NUMBER: _ClassVar[int]
    LOGGED_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    accepted_sequence: int
    committed_sequence: int
    epoch: int
    idle_nanos: int
    logged_sequence: int
    def __init__(self, epoch: _Optional[int] = ..., accepted_sequence: _Optional[int] = ..., logged_sequence: _Optional[int] = ..., committed_sequence: _Optional[int] = ..., idle_nanos: _Optional[int] = ...) -> None: ...

class ProducerBooks(_message.Message):
    __slots__ = ["entries_dropped", "entries_in_flight", "entries_received", "entries_refused", "entries_settled", "entries_unmatched", "producer", "tenant"]
    ENTRIES_DROPPED_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_RECEIVED_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_REFUSED_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_SETTLED_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_UNMATCHED_FIELD_NUMBER: _ClassVar[int]
    PRODUCER_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    entries_dropped: int
    entries_in_flight: int
    entries_received: int
    entries_refused: int
    entries_settled: int
    entries_unmatched: int
    producer: str
    tenant: str
    def __init__(self, tenant: _Optional[str] = ..., producer: _Optional[str] = ..., entries_received: _Optional[int] = ..., entries_refused: _Optional[int] = ..., entries_unmatched: _Optional[int] = ..., entries_settled: _Optional[int] = ..., entries_dropped: _Optional[int] = ..., entries_in_flight: _Optional[int] = ...) -> None: ...

class ProducerSelection(_message.Message):
    __slots__ = ["all", "log", "producers", "tenant"]
    ALL_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    PRODUCERS_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    all: bool
    log: str
    producers: _containers.RepeatedScalarFieldContainer[str]
    tenant: str
    def __init__(self, producers: _Optional[_Iterable[str]] = ..., tenant: _Optional[str] = ..., log: _Optional[str] = ..., all: bool = ...) -> None: ...

class ProducerState(_message.Message):
    __slots__ = ["address", "away_nanos", "from_epoch", "from_sequence", "instance", "log", "own", "producer", "released_from", "since_unix_nano", "tenant"]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    AWAY_NANOS_FIELD_NUMBER: _ClassVar[int]
    FROM_EPOCH_FIELD_NUMBER: _ClassVar[int]
    FROM_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    OWN_FIELD_NUMBER: _ClassVar[int]
    PRODUCER_FIELD_NUMBER: _ClassVar[int]
    RELEASED_FROM_FIELD_NUMBER: _ClassVar[int]
    SINCE_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    address: str
    away_nanos: int
    from_epoch: int
    from_sequence: int
    instance: str
    log: str
    own: OwnProducer
    producer: str
    released_from: str
    since_unix_nano: int
    tenant: str
    def __init__(self, tenant: _Optional[str] = ..., producer: _Optional[str] = ..., log: _Optional[str] = ..., instance: _Optional[str] = ..., address: _Optional[str] = ..., away_nanos: _Optional[int] = ..., since_unix_nano: _Optional[int] = ..., from_epoch: _Optional[int] = ..., from_sequence: _Optional[int] = ..., released_from: _Optional[str] = ..., own: _Optional[_Union[OwnProducer, _Mapping]] = ...) -> None: ...

class ReleaseProducersRequest(_message.Message):
    __slots__ = ["execute", "operator", "selection"]
    EXECUTE_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    execute: bool
    operator: str
    selection: ProducerSelection
    def __init__(self, selection: _Optional[_Union[ProducerSelection, _Mapping]] = ..., execute: bool = ..., operator: _Optional[str] = ...) -> None: ...

class ReleaseProducersResponse(_message.Message):
    __slots__ = ["message", "producer", "released"]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    PRODUCER_FIELD_NUMBER: _ClassVar[int]
    RELEASED_FIELD_NUMBER: _ClassVar[int]
    message: str
    producer: ProducerState
    released: bool
    def __init__(self, producer: _Optional[_Union[ProducerState, _Mapping]] = ..., released: bool = ..., message: _Optional[str] = ...) -> None: ...

class ReplayDeadLettersRequest(_message.Message):
    __slots__ = ["edits", "execute", "operator", "rows_per_second", "selection"]
    EDITS_FIELD_NUMBER: _ClassVar[int]
    EXECUTE_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    ROWS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    edits: _containers.RepeatedCompositeFieldContainer[DeadLetterEdit]
    execute: bool
    operator: str
    rows_per_second: int
    selection: DeadLetterSelection
    def __init__(self, selection: _Optional[_Union[DeadLetterSelection, _Mapping]] = ..., edits: _Optional[_Iterable[_Union[DeadLetterEdit, _Mapping]]] = ..., execute: bool = ..., rows_per_second: _Optional[int] = ..., operator: _Optional[str] = ...) -> None: ...

class ReplayDeadLettersResponse(_message.Message):
    __slots__ = ["report"]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    report: DeadLetterReport
    def __init__(self, report: _Optional[_Union[DeadLetterReport, _Mapping]] = ...) -> None: ...

class RouteExplanation(_message.Message):
    __slots__ = ["conditions", "matches", "partition", "refusal", "route", "table"]
    CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    MATCHES_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    conditions: _containers.RepeatedScalarFieldContainer[str]
    matches: bool
    partition: str
    refusal: _ingest_pb2.Refusal
    route: str
    table: str
    def __init__(self, route: _Optional[str] = ..., table: _Optional[str] = ..., matches: bool = ..., conditions: _Optional[_Iterable[str]] = ..., partition: _Optional[str] = ..., refusal: _Optional[_Union[_ingest_pb2.Refusal, _Mapping]] = ...) -> None: ...

class RouteState(_message.Message):
    __slots__ = ["bytes_in_flight", "filter", "held", "held_reason", "insert_limit", "inserts_in_flight", "last_failed_batch", "name", "rows_committed", "rows_dead_lettered", "rows_in_flight", "rows_refused", "rows_routed", "schema_hash", "table"]
    BYTES_IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    HELD_REASON_FIELD_NUMBER: _ClassVar[int]
    INSERTS_IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    INSERT_LIMIT_FIELD_NUMBER: _ClassVar[int]
    LAST_FAILED_BATCH_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROWS_COMMITTED_FIELD_NUMBER: _ClassVar[int]
    ROWS_DEAD_LETTERED_FIELD_NUMBER: _ClassVar[int]
    ROWS_IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    ROWS_REFUSED_FIELD_NUMBER: _ClassVar[int]
    ROWS_ROUTED_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_HASH_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    bytes_in_flight: int
    filter: str
    held: bool
    held_reason: str
    insert_limit: int
    inserts_in_flight: int
    last_failed_batch: FailedBatch
    name: str
    rows_committed: int
    rows_dead_lettered: int
    rows_in_flight: int
    rows_refused: int
    rows_routed: int
    schema_hash: str
    table: str
    def __init__(self, name: _Optional[str] = ..., table: _Optional[str] = ..., filter: _Optional[str] = ..., schema_hash: _Optional[str] = ..., held: bool = ..., held_reason: _Optional[str] = ..., rows_routed: _Optional[int] = ..., rows_committed: _Optional[int] = ..., rows_dead_lettered: _Optional[int] = ..., rows_refused: _Optional[int] = ..., rows_in_flight: _Optional[int] = ..., bytes_in_flight: _Optional[int] = ..., inserts_in_flight: _Optional[int] = ..., insert_limit: _Optional[int] = ..., last_failed_batch: _Optional[_Union[FailedBatch, _Mapping]] = ...) -> None: ...

class SettledBatch(_message.Message):
    __slots__ = ["batch_id", "rows_committed", "rows_dead_lettered", "settled_unix_nano", "table"]
    BATCH_ID_FIELD_NUMBER: _ClassVar[int]
    ROWS_COMMITTED_FIELD_NUMBER: _ClassVar[int]
    ROWS_DEAD_LETTERED_FIELD_NUMBER: _ClassVar[int]
    SETTLED_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    batch_id: str
    rows_committed: int
    rows_dead_lettered: int
    settled_unix_nano: int
    table: str
    def __init__(self, batch_id: _Optional[str] = ..., table: _Optional[str] = ..., rows_committed: _Optional[int] = ..., rows_dead_lettered: _Optional[int] = ..., settled_unix_nano: _Optional[int] = ...) -> None: ...

class ShardState(_message.Message):
    __slots__ = ["inserts_in_flight", "number", "open_batches", "queued_requests", "rows_in_flight"]
    INSERTS_IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    OPEN_BATCHES_FIELD_NUMBER: _ClassVar[int]
    QUEUED_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    ROWS_IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    inserts_in_flight: int
    number: int
    open_batches: _containers.RepeatedCompositeFieldContainer[OpenBatch]
    queued_requests: int
    rows_in_flight: int
    def __init__(self, number: _Optional[int] = ..., queued_requests: _Optional[int] = ..., open_batches: _Optional[_Iterable[_Union[OpenBatch, _Mapping]]] = ..., inserts_in_flight: _Optional[int] = ..., rows_in_flight: _Optional[int] = ...) -> None: ...

class TableBooks(_message.Message):
    __slots__ = ["rows_committed", "rows_dead_lettered", "rows_in_flight", "rows_routed", "table"]
    ROWS_COMMITTED_FIELD_NUMBER: _ClassVar[int]
    ROWS_DEAD_LETTERED_FIELD_NUMBER: _ClassVar[int]
    ROWS_IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    ROWS_ROUTED_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    rows_committed: int
    rows_dead_lettered: int
    rows_in_flight: int
    rows_routed: int
    table: str
    def __init__(self, table: _Optional[str] = ..., rows_routed: _Optional[int] = ..., rows_committed: _Optional[int] = ..., rows_dead_lettered: _Optional[int] = ..., rows_in_flight: _Optional[int] = ...) -> None: ...

class DeadLetterOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []
