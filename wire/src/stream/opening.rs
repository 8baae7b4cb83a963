//! The first bytes of a unidirectional stream.

use bytes::Bytes;

use super::Stash;
use crate::draft::Draft;
use crate::error::{DecodeError, Fault};
use crate::model::Opening;

/// Reads what kind of stream this is. What it leaves over goes to the reader that follows.
#[derive(Debug, Default)]
pub struct OpeningReader {
    stash: Stash,
}

impl OpeningReader {
    /// A reader at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what the stream delivered.
    pub fn push(&mut self, chunk: Bytes) {
        self.stash.push(chunk);
    }

    /// The stream delivers nothing more: FIN has arrived.
    pub const fn finish(&mut self) {
        self.stash.finish();
    }

    /// The opening; `None` until it is all there. To be called until it gives one.
    ///
    /// # Errors
    /// The session is to be closed with the error's code. `Incomplete` if FIN has arrived before the end of the opening.
    pub fn next_opening(&mut self, draft: &dyn Draft) -> Result<Option<Opening>, DecodeError> {
        self.stash.header(|r| draft.decode_opening(r))
    }

    /// As [`OpeningReader::next_opening`], for those who speak more than the draft: a stream of one of these types is
    /// [`Opening::Other`]. Types that the draft has stay its own.
    ///
    /// # Errors
    /// As [`OpeningReader::next_opening`].
    pub fn next_registered(
        &mut self,
        draft: &dyn Draft,
        types: &[u64],
    ) -> Result<Option<Opening>, DecodeError> {
        self.stash.header(|r| {
            let mut again = r.clone();
            let opening = draft.decode_opening(r);
            match &opening {
                Err(DecodeError { fault: Fault::Unknown(kind), field: "Stream Type", .. })
                    if types.contains(kind) =>
                {
                    again.varint("Stream Type")?;
                    *r = again;
                    Ok(Opening::Other(*kind))
                }
                _ => opening,
            }
        })
    }

    /// What follows the opening, and whether FIN has arrived.
    pub fn into_leftover(self) -> Stash {
        self.stash
    }
}
