//! The two halves of a stream of control messages.

use std::fmt;
use std::io;

use bytes::BytesMut;
use moqingbird::wire::buf::Writer;
use moqingbird::wire::model::Message;
use moqingbird::wire::{Assembler, Draft};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// How much is read at once.
const CHUNK: usize = 4096;

/// The two halves of a stream of control messages.
pub(crate) fn control(
    draft: &'static dyn Draft,
    send: impl AsyncWrite + Send + Unpin + 'static,
    recv: impl AsyncRead + Send + Unpin + 'static,
) -> (Sayer, Hearer) {
    let sayer = Sayer { send: Box::new(send), draft };
    (sayer, Hearer { recv: Box::new(recv), assembler: Assembler::new(), draft })
}

/// The half on which messages are said.
pub(crate) struct Sayer {
    send: Box<dyn AsyncWrite + Send + Unpin>,
    draft: &'static dyn Draft,
}

impl Sayer {
    /// In which draft it speaks.
    pub(crate) const fn draft(&self) -> &'static dyn Draft {
        self.draft
    }

    /// Says a message.
    pub(crate) async fn say(&mut self, message: &Message) -> io::Result<()> {
        let mut w = Writer::new();
        self.draft.encode_control(message, &mut w).map_err(io::Error::other)?;
        self.send.write_all(&w.take()).await
    }
}

impl fmt::Debug for Sayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sayer").field("draft", &self.draft).finish_non_exhaustive()
    }
}

/// The half on which messages are heard.
pub(crate) struct Hearer {
    recv: Box<dyn AsyncRead + Send + Unpin>,
    assembler: Assembler,
    draft: &'static dyn Draft,
}

impl Hearer {
    /// The next message; `None` at the stream's end.
    pub(crate) async fn hear(&mut self) -> io::Result<Option<Message>> {
        loop {
            if let Some(frame) = self.assembler.next_frame() {
                return self.draft.decode_control(&frame).map(Some).map_err(io::Error::other);
            }
            let mut chunk = BytesMut::with_capacity(CHUNK);
            if self.recv.read_buf(&mut chunk).await? == 0 {
                return Ok(None);
            }
            self.assembler.push(chunk.freeze());
        }
    }
}
