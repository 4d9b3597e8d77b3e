from logbatcher.v1 import entry_pb2 as _entry_pb2
from logbatcher.v1 import ingest_pb2 as _ingest_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

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
