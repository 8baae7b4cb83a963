//! What a session saw as records of qlog.

use moqingbird_wire::Draft;
use moqingbird_wire::model::{
    Datagram, DatagramBody, Message, ObjectStatus, Opening, Request, SubgroupHeader, SubgroupId,
};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::message::control_message;
use super::parameter::properties;
use crate::session::{Direction, Instant, Side, StreamId, Trace};

/// The schemas whose events appear.
const SCHEMAS: [&str; 2] = ["urn:ietf:params:qlog:events:moqt-07", "urn:ietf:params:qlog:events:loglevel"];

/// Writes one session's records. It takes values and gives values.
#[derive(Debug)]
pub(super) struct Recorder {
    id: String,
    side: Side,
    draft: &'static dyn Draft,
    began: OffsetDateTime,
    control: Option<StreamId>,
}

impl Recorder {
    pub(super) fn new(id: String, side: Side, draft: &'static dyn Draft) -> Self {
        Self { id, side, draft, began: OffsetDateTime::now_utc(), control: None }
    }

    /// `ID_client.sqlog`: as recommended by draft-pardue-moq-qlog-moq-events-07 §1.1, with the suffix of JSON-SEQ.
    pub(super) fn file_name(&self) -> String {
        format!("{}_{}.sqlog", self.id, self.vantage_point())
    }

    /// The first record, which tells what the file is.
    pub(super) fn header(&self) -> Value {
        let at = self.began;
        let began = format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            at.year(),
            u8::from(at.month()),
            at.day(),
            at.hour(),
            at.minute(),
            at.second(),
            at.millisecond()
        );
        json!({
            "file_schema": "urn:ietf:params:qlog:file:sequential",
            "serialization_format": "application/qlog+json-seq",
            "title": format!("MoQT {}", self.draft.version()),
            "trace": {
                "common_fields": {
                    "group_id": self.id,
                    "time_format": "relative_to_epoch",
                    "reference_time": { "clock_type": "monotonic", "epoch": "unknown", "wall_clock_time": began },
                },
                "vantage_point": {
                    "name": concat!("moqingbird/", env!("CARGO_PKG_VERSION")),
                    "type": self.vantage_point(),
                },
                "event_schemas": SCHEMAS,
            },
        })
    }

    /// The records of what was seen: none, one, or with a stream's type two.
    pub(super) fn records(&mut self, now: Instant, trace: &Trace) -> Vec<Value> {
        let mut records = Vec::new();
        match trace {
            Trace::Message { direction, stream, message } => {
                if let Some(kind) = self.begins(*stream, message) {
                    records.push(event(now, "moqt:stream_type_set", stream_type(*direction, *stream, kind)));
                }
                if let Some(message) = control_message(self.draft, message) {
                    let name = match direction {
                        Direction::Sent => "moqt:control_message_created",
                        Direction::Received => "moqt:control_message_parsed",
                    };
                    records.push(event(
                        now,
                        name,
                        json!({ "stream_id": stream.number(), "message": message }),
                    ));
                }
            }
            Trace::Stream { direction, stream, opening } => {
                let (kind, name, data) = match (opening, direction) {
                    (Opening::Subgroup(header), Direction::Sent) => {
                        ("subgroup_header", "moqt:subgroup_header_created", subgroup(*stream, header))
                    }
                    (Opening::Subgroup(header), Direction::Received) => {
                        ("subgroup_header", "moqt:subgroup_header_parsed", subgroup(*stream, header))
                    }
                    (Opening::Fetch(id), Direction::Sent) => (
                        "fetch_header",
                        "moqt:fetch_header_created",
                        json!({ "stream_id": stream.number(), "request_id": id.0 }),
                    ),
                    (Opening::Fetch(id), Direction::Received) => (
                        "fetch_header",
                        "moqt:fetch_header_parsed",
                        json!({ "stream_id": stream.number(), "request_id": id.0 }),
                    ),
                    _ => return records,
                };
                records.push(event(now, "moqt:stream_type_set", stream_type(*direction, *stream, kind)));
                records.push(event(now, name, data));
            }
            // The text has no event for messages that no draft has.
            Trace::Other { .. } => {}
            Trace::Datagram { direction, datagram } => {
                let name = match direction {
                    Direction::Sent => "moqt:object_datagram_created",
                    Direction::Received => "moqt:object_datagram_parsed",
                };
                records.push(event(now, name, object_datagram(datagram)));
            }
        }
        records
    }

    /// Says that records are missing here.
    pub(super) fn missing(&self, now: Instant, records: u64) -> Value {
        let message = format!(
            "{records} records before this one were dropped: they came faster than they were written"
        );
        event(now, "loglevel:warning", json!({ "message": message }))
    }

    const fn vantage_point(&self) -> &'static str {
        match self.side {
            Side::Client => "client",
            Side::Server => "server",
        }
    }

    /// The type of a bidirectional stream, if this message is the one that tells it.
    fn begins(&mut self, stream: StreamId, message: &Message) -> Option<&'static str> {
        match message {
            Message::ClientSetup(_) if self.control.is_none() => {
                self.control = Some(stream);
                Some("control")
            }
            Message::Request { request: Request::SubscribeNamespace(_), .. }
                if self.control != Some(stream) =>
            {
                Some("subscribe_namespace")
            }
            _ => None,
        }
    }
}

fn event(now: Instant, name: &str, data: Value) -> Value {
    // Milliseconds, exact to the microsecond for as long as a session may live.
    json!({ "time": now.as_micros() as f64 / 1000.0, "name": name, "data": data })
}

fn stream_type(direction: Direction, stream: StreamId, kind: &str) -> Value {
    let owner = match direction {
        Direction::Sent => "local",
        Direction::Received => "remote",
    };
    json!({ "owner": owner, "stream_id": stream.number(), "stream_type": kind })
}

pub(super) fn subgroup(stream: StreamId, header: &SubgroupHeader) -> Value {
    let (mode, id) = match header.subgroup_id {
        SubgroupId::FirstObject => (1, None),
        SubgroupId::Id(id) => (2, Some(id)),
        _ => (0, Some(0)),
    };
    let mut data = object(json!({
        "stream_id": stream.number(),
        "track_alias": header.track_alias.0,
        "group_id": header.group_id,
        "subgroup_id_mode": mode,
        "contains_end_of_group": header.end_of_group,
        "properties_present": header.extensions,
    }));
    optional(&mut data, "subgroup_id", id);
    optional(&mut data, "publisher_priority", header.publisher_priority);
    Value::Object(data)
}

pub(super) fn object_datagram(datagram: &Datagram) -> Value {
    let mut data = object(json!({
        "track_alias": datagram.track_alias.0,
        "group_id": datagram.group_id,
        "object_id": datagram.object_id,
        "end_of_group": datagram.end_of_group,
    }));
    optional(&mut data, "publisher_priority", datagram.publisher_priority);
    if !datagram.extensions.is_empty() {
        data.insert("properties".into(), properties(&datagram.extensions).into());
    }
    match &datagram.body {
        DatagramBody::Payload(payload) => {
            data.insert("object_payload".into(), json!({ "length": payload.len() }));
        }
        DatagramBody::Status(status) => {
            data.insert("object_status".into(), object_status(*status).into());
        }
        _ => {}
    }
    Value::Object(data)
}

/// The numbers of Object Status (draft-14 §10.2.1.1, draft-16 §10.2.1.1), the same in every draft that has them.
const fn object_status(status: ObjectStatus) -> u64 {
    match status {
        ObjectStatus::DoesNotExist => 0x1,
        ObjectStatus::EndOfGroup => 0x3,
        ObjectStatus::EndOfTrack => 0x4,
        _ => 0x0,
    }
}

/// The fields of an object that `json!` has made.
pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

pub(super) fn optional(fields: &mut Map<String, Value>, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        fields.insert(name.into(), value.into());
    }
}
