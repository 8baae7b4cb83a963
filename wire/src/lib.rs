//! Bytes and meanings of MoQT, draft-ietf-moq-transport-14 and -16.
//!
//! Every draft is a [`Draft`]: it maps its bytes to one draft-independent [`model`], and states its [`Rules`].
//! [`Version::draft`] is the only place that chooses between them. There is no I/O here, no clock and no lock; the only
//! dependency is `bytes`. Byte strings come out as slices of what was put in (but for the Track Extensions of types that a
//! draft does not define, which are gathered), and payload is never copied.
//!
//! # Using it alone
//!
//! A control stream is cut into frames by an [`Assembler`]; a draft reads each:
//!
//! ```
//! use bytes::Bytes;
//! use moqingbird_wire::model::{Message, Request};
//! use moqingbird_wire::{Assembler, Version};
//!
//! let draft = Version::Draft16.draft();
//! let mut assembler = Assembler::new();
//! assembler.push(Bytes::from_static(b"\x03\x00\x0c\x02\x01\x04live\x03"));
//! assert_eq!(assembler.next_frame(), None, "the message is not all there");
//! assembler.push(Bytes::from_static(b"cam\x00"));
//!
//! let frame = assembler.next_frame().expect("a whole message");
//! match draft.decode_control(&frame)? {
//!     Message::Request { id, request: Request::Subscribe(subscribe) } => {
//!         assert_eq!(id.0, 2);
//!         assert_eq!(subscribe.track.to_string(), "live--cam");
//!     }
//!     other => panic!("not a SUBSCRIBE: {other:?}"),
//! }
//! # Ok::<(), moqingbird_wire::DecodeError>(())
//! ```
//!
//! A data stream is pushed, in whatever cuts it comes, into an [`OpeningReader`](stream::OpeningReader), then into the
//! reader of its kind. What comes out can be written in another draft; what that cannot say is an [`EncodeError`]:
//!
//! ```
//! use bytes::Bytes;
//! use moqingbird_wire::Version;
//! use moqingbird_wire::model::Opening;
//! use moqingbird_wire::stream::{OpeningReader, SubgroupItem, SubgroupReader, SubgroupWriter};
//!
//! // Track alias 7, group 3, subgroup 0, priority 128; two objects.
//! let received = b"\x10\x07\x03\x80\x00\x05hello\x00\x05world";
//! let mut chunks = received.chunks(6).map(Bytes::copy_from_slice);
//!
//! let (from, to) = (Version::Draft14.draft(), Version::Draft16.draft());
//! let mut opening = OpeningReader::new();
//! opening.push(chunks.next().expect("a chunk"));
//! let Some(Opening::Subgroup(header)) = opening.next_opening(from)? else { panic!("not a subgroup") };
//!
//! let mut reader = SubgroupReader::new(from, header, opening.into_leftover());
//! let mut writer = SubgroupWriter::new(to, header);
//! let mut sent = vec![writer.opening()?];
//! for chunk in chunks {
//!     reader.push(chunk);
//!     while let Some(item) = reader.next_item()? {
//!         match item {
//!             SubgroupItem::Object(object) => sent.push(writer.object(&object)?),
//!             SubgroupItem::Payload(part) => sent.push(part),
//!             _ => {}
//!         }
//!     }
//! }
//! assert_eq!(sent.concat(), received, "without extension headers the two drafts spell it alike");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`explain`] tells what bytes say field by field, for people. `examples/transcode.rs` is all of this in one program.

mod draft;
mod draft14;
mod draft16;
mod error;
mod field;
mod frame;
mod rules;
mod version;

pub mod buf;
pub mod explain;
pub mod list;
pub mod model;
#[doc(hidden)]
pub mod planted;
pub mod stream;

pub use draft::Draft;
pub use error::{DecodeError, EncodeError, Fault};
pub use frame::{Assembler, Frame};
pub use rules::{Carriage, RequestIds, Rules};
pub use version::Version;
