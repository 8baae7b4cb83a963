//! What a UDP port does with one packet: how "nothing listens", "silence" and "not QUIC" are told apart.
//!
//! The packet is the beginning of a QUIC connection in a version that is reserved for being unknown (RFC 9000 §15): a server
//! of QUIC answers with Version Negotiation (§6.1), and keeps no state. The socket is connected, so that the system reports
//! ICMP's "port unreachable"; a QUIC client's own socket is not.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use moqingbird::ServerUrl;
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// A version that no server speaks.
const UNKNOWN_VERSION: [u8; 4] = [0x1a, 0x2a, 0x3a, 0x4a];
/// Servers ignore smaller beginnings (RFC 9000 §14.1).
const SIZE: usize = 1200;
/// The connection ids of the packet.
const DESTINATION: [u8; 8] = *b"moqprobe";
const SOURCE: [u8; 8] = *b"whoknows";

/// What a port did with the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Knock {
    /// The host says that nothing listens there.
    Refused,
    /// Nothing came back.
    Silence,
    /// A QUIC server is there.
    Quic,
    /// The packet itself came back.
    Echo,
    /// Something came back that is not QUIC.
    Stranger,
}

/// Knocks at every address of the host, and says the most telling of what it hears within this time of each.
pub(crate) async fn knock(url: &ServerUrl, patience: Duration) -> Knock {
    let Ok(addresses) = tokio::net::lookup_host((url.host(), url.port())).await else {
        return Knock::Silence;
    };
    let mut heard = None;
    for address in addresses {
        match (at(address, patience).await, heard) {
            (Ok(Knock::Refused), None | Some(Knock::Refused)) => heard = Some(Knock::Refused),
            (Ok(Knock::Refused), _) => {}
            (Ok(Knock::Silence) | Err(_), _) => heard = Some(Knock::Silence),
            (Ok(telling), _) => return telling,
        }
    }
    heard.unwrap_or(Knock::Silence)
}

async fn at(address: SocketAddr, patience: Duration) -> io::Result<Knock> {
    let local: IpAddr =
        if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((local, 0)).await?;
    socket.connect(address).await?;
    let packet = packet();
    let mut answer = [0; 2048];
    let exchange = async {
        socket.send(&packet).await?;
        socket.recv(&mut answer).await
    };
    match timeout(patience, exchange).await {
        Err(_) => Ok(Knock::Silence),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(Knock::Refused),
        Ok(Err(error)) => Err(error),
        Ok(Ok(length)) => Ok(judge(&packet, &answer[..length])),
    }
}

/// A long header (RFC 9000 §17.2) and padding.
fn packet() -> [u8; SIZE] {
    let mut packet = [0; SIZE];
    packet[0] = 0xc0;
    packet[1..5].copy_from_slice(&UNKNOWN_VERSION);
    packet[5] = 8;
    packet[6..14].copy_from_slice(&DESTINATION);
    packet[14] = 8;
    packet[15..23].copy_from_slice(&SOURCE);
    packet
}

/// Version Negotiation has version 0, and our connection ids the other way round (RFC 9000 §17.2.1).
fn judge(packet: &[u8], answer: &[u8]) -> Knock {
    if answer == packet {
        return Knock::Echo;
    }
    let mut expected = vec![0, 0, 0, 0, 8];
    expected.extend(SOURCE);
    expected.push(8);
    expected.extend(DESTINATION);
    let quic = answer.first().is_some_and(|first| first & 0x80 != 0) && answer[1..].starts_with(&expected);
    if quic { Knock::Quic } else { Knock::Stranger }
}

/// Whether the port takes TCP connections.
pub(crate) async fn tcp(url: &ServerUrl, patience: Duration) -> bool {
    matches!(timeout(patience, TcpStream::connect((url.host(), url.port()))).await, Ok(Ok(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_version_negotiation_for_our_ids_is_quic() {
        let mut negotiation = vec![0x80, 0, 0, 0, 0, 8];
        negotiation.extend(SOURCE);
        negotiation.push(8);
        negotiation.extend(DESTINATION);
        negotiation.extend([0, 0, 0, 1]);
        assert_eq!(judge(&packet(), &negotiation), Knock::Quic);
        negotiation[0] = 0x40;
        assert_eq!(judge(&packet(), &negotiation), Knock::Stranger);
        assert_eq!(judge(&packet(), b"HTTP/1.1 400 Bad Request"), Knock::Stranger);
        assert_eq!(judge(&packet(), b""), Knock::Stranger);
        assert_eq!(judge(&packet(), &packet()), Knock::Echo);
    }

    #[tokio::test]
    async fn a_closed_port_refuses_a_bound_one_is_silent_and_a_quic_server_answers() {
        let url = |port: u16| format!("moqt://127.0.0.1:{port}").parse::<ServerUrl>().unwrap();
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        assert_eq!(knock(&url(port), Duration::from_millis(200)).await, Knock::Silence);
        assert_eq!(knock(&url(1), Duration::from_secs(20)).await, Knock::Refused);
        let server = moqingbird::Server::bind(&moqingbird::ServerOptions::default()).unwrap();
        let port = server.local_addrs()[0].port();
        assert_eq!(knock(&url(port), Duration::from_secs(20)).await, Knock::Quic);
    }
}
