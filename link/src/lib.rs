//! A bad network on loopback, without root: what a test sends through it is late, lost, out of order or slow, as asked.
//!
//! [`Pipe`] decides, by a seed, what becomes of each packet; it has no clock and no socket, so that a simulation can use it
//! as well. [`Link`] stands between UDP clients and a server and does to their packets what two pipes decide.
//!
//! ```
//! use std::net::UdpSocket;
//! use std::time::Duration;
//!
//! use moqingbird_link::{Conditions, Direction, Link};
//!
//! # fn main() -> std::io::Result<()> {
//! let server = UdpSocket::bind("127.0.0.1:0")?;
//! let slow = Conditions { delay: Duration::from_millis(5), ..Conditions::default() };
//! let link = Link::between(server.local_addr()?, slow, slow, 1)?;
//!
//! let client = UdpSocket::bind("127.0.0.1:0")?;
//! client.send_to(b"hello", link.address())?;
//! let mut buffer = [0; 16];
//! assert_eq!(server.recv(&mut buffer)?, 5);
//! assert_eq!(link.counters(Direction::ToServer).forwarded, 1);
//! # Ok(())
//! # }
//! ```

mod conditions;
mod link;
mod pipe;
mod random;

pub use conditions::Conditions;
pub use link::{Direction, Link};
pub use pipe::{Counters, Fate, HELD_BACK, Pipe};
