//! What sessions say and hear in the program's own log: `tracing` events of the target `moqingbird::messages`, control
//! messages at DEBUG, openings of streams and datagrams at TRACE. As in the files, values of tokens are never shown.

use moqingbird_wire::Draft;
use moqingbird_wire::buf::{Reader, Writer};
use moqingbird_wire::model::{Message, Opening};
use serde_json::Value;
use tracing::Level;

use super::message::control_message;
use super::record::{object, object_datagram, subgroup};
use crate::session::{Direction, Trace};

const TARGET: &str = "moqingbird::messages";

/// Whether anybody listens.
pub(crate) fn is_shown() -> bool {
    tracing::enabled!(target: TARGET, Level::DEBUG)
}

/// Shows something to whoever listens.
pub(crate) fn show(draft: &dyn Draft, trace: &Trace) {
    match trace {
        Trace::Message { direction, message, .. } if is_shown() => {
            let (name, fields) = described(draft, message);
            tracing::debug!(target: TARGET, "{} {name} {fields}", word(*direction));
        }
        Trace::Stream { direction, stream, opening } if tracing::enabled!(target: TARGET, Level::TRACE) => {
            let direction = word(*direction);
            match opening {
                Opening::Subgroup(header) => {
                    tracing::trace!(target: TARGET, "{direction} SUBGROUP_HEADER {}", subgroup(*stream, header));
                }
                Opening::Fetch(id) => {
                    tracing::trace!(target: TARGET, "{direction} FETCH_HEADER {{\"request_id\":{id}}}");
                }
                Opening::Other(kind) => {
                    tracing::trace!(target: TARGET, "{direction} the opening of a stream of type {kind:#x}");
                }
                _ => {}
            }
        }
        Trace::Other { direction, kind, payload, .. } if is_shown() => {
            let (direction, length) = (word(*direction), payload.len());
            tracing::debug!(target: TARGET, "{direction} a message of type {kind:#x}, {length} bytes");
        }
        Trace::Datagram { direction, datagram } if tracing::enabled!(target: TARGET, Level::TRACE) => {
            let direction = word(*direction);
            tracing::trace!(target: TARGET, "{direction} OBJECT_DATAGRAM {}", object_datagram(datagram));
        }
        _ => {}
    }
}

const fn word(direction: Direction) -> &'static str {
    match direction {
        Direction::Received => "received",
        Direction::Sent => "sent",
    }
}

/// The message by the draft's own name, and its fields as in the event log.
fn described(draft: &dyn Draft, message: &Message) -> (&'static str, Value) {
    let mut fields = object(control_message(draft, message).unwrap_or_default());
    fields.remove("type");
    (name(draft, message).unwrap_or("a message"), Value::Object(fields))
}

/// What the type of the message's bytes is called.
fn name(draft: &dyn Draft, message: &Message) -> Option<&'static str> {
    let mut w = Writer::new();
    draft.encode_control(message, &mut w).ok()?;
    let bytes = w.take();
    draft.message_name(Reader::new(&bytes).varint("type").ok()?)
}
