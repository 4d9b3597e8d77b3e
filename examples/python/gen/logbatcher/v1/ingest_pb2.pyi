from logbatcher.v1 import entry_pb2 as _entry_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

ACKNOWLEDGEMENT_COMMITTED: Acknowledgement
ACKNOWLEDGEMENT_LOGGED: Acknowledgement
ACKNOWLEDGEMENT_RECEIVED: Acknowledgement
ACKNOWLEDGEMENT_UNSPECIFIED: Acknowledgement
DESCRIPTOR: _descriptor.FileDescriptor
DRAIN_REASON_AGE: DrainReason
DRAIN_REASON_CREDENTIALS: DrainReason
DRAIN_REASON_SHUTDOWN: DrainReason
DRAIN_REASON_UNSPECIFIED: DrainReason
REFUSAL_REASON_INVALID_FIELD: RefusalReason
REFUSAL_REASON_MISSING_VALUE: RefusalReason
REFUSAL_REASON_OUT_OF_RANGE: RefusalReason
REFUSAL_REASON_TIME_TOO_FAR_AHEAD: RefusalReason
REFUSAL_REASON_TIME_TOO_OLD: RefusalReason
REFUSAL_REASON_TOO_LARGE: RefusalReason
REFUSAL_REASON_TYPE_MISMATCH: RefusalReason
REFUSAL_REASON_UNMATCHED: RefusalReason
REFUSAL_REASON_UNSPECIFIED: RefusalReason
THROTTLE_CAUSE_LOG: ThrottleCause
THROTTLE_CAUSE_MEMORY: ThrottleCause
THROTTLE_CAUSE_RESPONSES: ThrottleCause
THROTTLE_CAUSE_TABLE: ThrottleCause
THROTTLE_CAUSE_TENANT: ThrottleCause
THROTTLE_CAUSE_UNSPECIFIED: ThrottleCause

class DeadLettered(_message.Message):
    __slots__ = ["code", "dead_letter", "first_sequence", "last_sequence", "message", "route", "rows", "table"]
    CODE_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTER_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    code: int
    dead_letter: str
    first_sequence: int
    last_sequence: int
    message: str
    route: str
    rows: int
    table: str
    def __init__(self, first_sequence: _Optional[int] = ..., last_sequence: _Optional[int] = ..., rows: _Optional[int] = ..., route: _Optional[str] = ..., table: _Optional[str] = ..., dead_letter: _Optional[str] = ..., code: _Optional[int] = ..., message: _Optional[str] = ...) -> None: ...

class Drain(_message.Message):
    __slots__ = ["deadline_unix_nano", "reason"]
    DEADLINE_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    deadline_unix_nano: int
    reason: DrainReason
    def __init__(self, deadline_unix_nano: _Optional[int] = ..., reason: _Optional[_Union[DrainReason, str]] = ...) -> None: ...

class IngestRequest(_message.Message):
    __slots__ = ["entries", "open", "sequence"]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[_entry_pb2.Entry]
    open: Open
    sequence: int
    def __init__(self, sequence: _Optional[int] = ..., entries: _Optional[_Iterable[_Union[_entry_pb2.Entry, _Mapping]]] = ..., open: _Optional[_Union[Open, _Mapping]] = ...) -> None: ...

class IngestResponse(_message.Message):
    __slots__ = ["acknowledgement", "committed_sequence", "dead_lettered", "epoch", "logged_sequence", "producer", "refusals"]
    ACKNOWLEDGEMENT_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTERED_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    LOGGED_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    PRODUCER_FIELD_NUMBER: _ClassVar[int]
    REFUSALS_FIELD_NUMBER: _ClassVar[int]
    acknowledgement: Acknowledgement
    committed_sequence: int
    dead_lettered: _containers.RepeatedCompositeFieldContainer[DeadLettered]
    epoch: int
    logged_sequence: int
    producer: str
    refusals: _containers.RepeatedCompositeFieldContainer[Refusal]
    def __init__(self, producer: _Optional[str] = ..., epoch: _Optional[int] = ..., committed_sequence: _Optional[int] = ..., acknowledgement: _Optional[_Union[Acknowledgement, str]] = ..., refusals: _Optional[_Iterable[_Union[Refusal, _Mapping]]] = ..., dead_lettered: _Optional[_Iterable[_Union[DeadLettered, _Mapping]]] = ..., logged_sequence: _Optional[int] = ...) -> None: ...

class IngestStreamRequest(_message.Message):
    __slots__ = ["entries", "open", "sequence"]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[_entry_pb2.Entry]
    open: Open
    sequence: int
    def __init__(self, sequence: _Optional[int] = ..., entries: _Optional[_Iterable[_Union[_entry_pb2.Entry, _Mapping]]] = ..., open: _Optional[_Union[Open, _Mapping]] = ...) -> None: ...

class IngestStreamResponse(_message.Message):
    __slots__ = ["committed_sequence", "dead_lettered", "drain", "logged_sequence", "received_sequence", "refusals", "throttle", "welcome"]
    COMMITTED_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTERED_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    LOGGED_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    REFUSALS_FIELD_NUMBER: _ClassVar[int]
    THROTTLE_FIELD_NUMBER: _ClassVar[int]
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    committed_sequence: int
    dead_lettered: _containers.RepeatedCompositeFieldContainer[DeadLettered]
    drain: Drain
    logged_sequence: int
    received_sequence: int
    refusals: _containers.RepeatedCompositeFieldContainer[Refusal]
    throttle: Throttle
    welcome: Welcome
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., logged_sequence: _Optional[int] = ..., committed_sequence: _Optional[int] = ..., received_sequence: _Optional[int] = ..., refusals: _Optional[_Iterable[_Union[Refusal, _Mapping]]] = ..., dead_lettered: _Optional[_Iterable[_Union[DeadLettered, _Mapping]]] = ..., throttle: _Optional[_Union[Throttle, _Mapping]] = ..., drain: _Optional[_Union[Drain, _Mapping]] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ["max_entry_attributes", "max_entry_bytes", "max_request_bytes", "max_request_entries"]
    MAX_ENTRY_ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    MAX_ENTRY_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_REQUEST_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_REQUEST_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    max_entry_attributes: int
    max_entry_bytes: int
    max_request_bytes: int
    max_request_entries: int
    def __init__(self, max_request_bytes: _Optional[int] = ..., max_request_entries: _Optional[int] = ..., max_entry_bytes: _Optional[int] = ..., max_entry_attributes: _Optional[int] = ...) -> None: ...

class Open(_message.Message):
    __slots__ = ["acknowledgement", "client", "colo", "committed_sequence", "epoch", "logged_sequence", "producer", "resource_attributes", "resource_schema_url", "scope_attributes", "scope_name", "scope_schema_url", "scope_version"]
    ACKNOWLEDGEMENT_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    COLO_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    LOGGED_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    PRODUCER_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_SCHEMA_URL_FIELD_NUMBER: _ClassVar[int]
    SCOPE_ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    SCOPE_NAME_FIELD_NUMBER: _ClassVar[int]
    SCOPE_SCHEMA_URL_FIELD_NUMBER: _ClassVar[int]
    SCOPE_VERSION_FIELD_NUMBER: _ClassVar[int]
    acknowledgement: Acknowledgement
    client: str
    colo: str
    committed_sequence: int
    epoch: int
    logged_sequence: int
    producer: str
    resource_attributes: _containers.RepeatedCompositeFieldContainer[_entry_pb2.Attribute]
    resource_schema_url: str
    scope_attributes: _containers.RepeatedCompositeFieldContainer[_entry_pb2.Attribute]
    scope_name: str
    scope_schema_url: str
    scope_version: str
    def __init__(self, producer: _Optional[str] = ..., epoch: _Optional[int] = ..., acknowledgement: _Optional[_Union[Acknowledgement, str]] = ..., colo: _Optional[str] = ..., resource_attributes: _Optional[_Iterable[_Union[_entry_pb2.Attribute, _Mapping]]] = ..., resource_schema_url: _Optional[str] = ..., scope_name: _Optional[str] = ..., scope_version: _Optional[str] = ..., scope_schema_url: _Optional[str] = ..., scope_attributes: _Optional[_Iterable[_Union[_entry_pb2.Attribute, _Mapping]]] = ..., committed_sequence: _Optional[int] = ..., client: _Optional[str] = ..., logged_sequence: _Optional[int] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ["field", "index", "message", "reason", "route", "sequence"]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    field: str
    index: int
    message: str
    reason: RefusalReason
    route: str
    sequence: int
    def __init__(self, sequence: _Optional[int] = ..., index: _Optional[int] = ..., field: _Optional[str] = ..., reason: _Optional[_Union[RefusalReason, str]] = ..., message: _Optional[str] = ..., route: _Optional[str] = ...) -> None: ...

class Throttle(_message.Message):
    __slots__ = ["cause", "message", "table"]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    cause: ThrottleCause
    message: str
    table: str
    def __init__(self, cause: _Optional[_Union[ThrottleCause, str]] = ..., table: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ["acknowledgement", "committed_sequence", "epoch", "instance", "limits", "logged_sequence", "producer", "resumed"]
    ACKNOWLEDGEMENT_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    LOGGED_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    PRODUCER_FIELD_NUMBER: _ClassVar[int]
    RESUMED_FIELD_NUMBER: _ClassVar[int]
    acknowledgement: Acknowledgement
    committed_sequence: int
    epoch: int
    instance: str
    limits: Limits
    logged_sequence: int
    producer: str
    resumed: bool
    def __init__(self, producer: _Optional[str] = ..., epoch: _Optional[int] = ..., logged_sequence: _Optional[int] = ..., committed_sequence: _Optional[int] = ..., resumed: bool = ..., acknowledgement: _Optional[_Union[Acknowledgement, str]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., instance: _Optional[str] = ...) -> None: ...

class Acknowledgement(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class RefusalReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class ThrottleCause(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class DrainReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []
