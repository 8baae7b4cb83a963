//! A client's bare connection. The server's certificate is not looked at: nothing is entrusted to it.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use moqingbird::wire::Draft;
use moqingbird::{ServerUrl, TransportKind, Version};
use quinn::crypto::rustls::QuicClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use web_transport_quinn::proto::{ConnectError as ConnectStreamError, ConnectRequest};
use web_transport_quinn::{ClientError, ConnectError, SessionError, WebTransportError};

use super::{Hearer, Sayer, control};
use crate::report::{Role, SessionFacts};

/// TLS's alert for an ALPN list without a common name (RFC 7301 §3.2).
const NO_APPLICATION_PROTOCOL: u8 = 120;

/// A connection that carries whatever is put on it.
pub(crate) struct Client {
    carrier: Carrier,
    connection_id: String,
    protocol: Option<String>,
    /// Held for the connection.
    _endpoint: quinn::Endpoint,
}

enum Carrier {
    Quic(quinn::Connection),
    Web(Box<web_transport_quinn::Session>),
}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The server knows none of the protocols: what said so.
    Protocol(String),
    /// Something else.
    Other(String),
}

impl Client {
    /// Connects over the URL's transport. `protocols` are offered by ALPN, or by `wt-available-protocols`.
    pub(crate) async fn connect(
        address: SocketAddr,
        url: &ServerUrl,
        protocols: &[&str],
    ) -> Result<Self, Refused> {
        let web = url.transport() == TransportKind::WebTransport;
        let alpn = if web { &[web_transport_quinn::ALPN][..] } else { protocols };
        let (endpoint, connection, id) = quic(address, url.host(), alpn).await?;
        let connection_id = id.to_string();
        let carrier = match web {
            true => Carrier::Web(Box::new(upgrade(connection, url, protocols).await?)),
            false => Carrier::Quic(connection),
        };
        let protocol = match &carrier {
            Carrier::Quic(connection) => alpn_of(connection),
            Carrier::Web(session) => session.protocol().map(ToOwned::to_owned),
        };
        Ok(Self { carrier, connection_id, protocol, _endpoint: endpoint })
    }

    /// The protocol that was agreed.
    pub(crate) fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// What the report says of it.
    pub(crate) fn facts(&self, role: Role, version: Version) -> SessionFacts {
        let transport = match self.carrier {
            Carrier::Quic(_) => TransportKind::Quic,
            Carrier::Web(_) => TransportKind::WebTransport,
        };
        let (protocol, connection_id) = (self.protocol.clone(), Some(self.connection_id.clone()));
        SessionFacts { role, version, transport, protocol, connection_id }
    }

    /// Opens the control stream.
    pub(crate) async fn open_control(&self, draft: &'static dyn Draft) -> Result<(Sayer, Hearer), String> {
        match &self.carrier {
            Carrier::Quic(connection) => {
                let (send, recv) = connection.open_bi().await.map_err(|error| error.to_string())?;
                Ok(control(draft, send, recv))
            }
            Carrier::Web(session) => {
                let (send, recv) = session.open_bi().await.map_err(|error| chain(&error))?;
                Ok(control(draft, send, recv))
            }
        }
    }

    /// Waits for the server to end the session: its code, if it gave one, and what it said.
    pub(crate) async fn closed(&self) -> (Option<u64>, String) {
        match &self.carrier {
            Carrier::Quic(connection) => match connection.closed().await {
                quinn::ConnectionError::ApplicationClosed(close) => {
                    let reason = String::from_utf8_lossy(&close.reason).into_owned();
                    (Some(close.error_code.into_inner()), reason)
                }
                error => (None, error.to_string()),
            },
            Carrier::Web(session) => match session.closed().await {
                SessionError::WebTransportError(WebTransportError::Closed(code, reason)) => {
                    (Some(code.into()), reason)
                }
                error => (None, chain(&error)),
            },
        }
    }

    /// Ends the session without error.
    pub(crate) fn close(&self) {
        match &self.carrier {
            Carrier::Quic(connection) => connection.close(0u32.into(), b""),
            Carrier::Web(session) => session.close(0, b""),
        }
    }
}

async fn quic(
    address: SocketAddr,
    host: &str,
    alpn: &[&str],
) -> Result<(quinn::Endpoint, quinn::Connection, quinn::ConnectionId), Refused> {
    fn other(error: impl Error) -> Refused {
        Refused::Other(error.to_string())
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut id = [0; 16];
    provider.secure_random.fill(&mut id).map_err(|_| Refused::Other("no random bytes".to_owned()))?;
    let id = quinn::ConnectionId::new(&id);

    let mut tls = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    tls.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let mut config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).map_err(other)?));
    config.initial_dst_cid_provider(Arc::new(move || id));

    let local: IpAddr =
        if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let endpoint = quinn::Endpoint::client(SocketAddr::new(local, 0)).map_err(other)?;
    let connecting = endpoint.connect_with(config, address, host).map_err(other)?;
    let connection = connecting.await.map_err(refused)?;
    Ok((endpoint, connection, id))
}

fn refused(error: quinn::ConnectionError) -> Refused {
    let code = match &error {
        quinn::ConnectionError::TransportError(error) => Some(error.code),
        quinn::ConnectionError::ConnectionClosed(close) => Some(close.error_code),
        _ => None,
    };
    if code == Some(quinn::TransportErrorCode::crypto(NO_APPLICATION_PROTOCOL)) {
        return Refused::Protocol("TLS alert no_application_protocol (120)".to_owned());
    }
    Refused::Other(error.to_string())
}

async fn upgrade(
    connection: quinn::Connection,
    url: &ServerUrl,
    protocols: &[&str],
) -> Result<web_transport_quinn::Session, Refused> {
    let url: url::Url = url.to_string().parse().map_err(|error| Refused::Other(format!("{error}")))?;
    let request = ConnectRequest::new(url).with_protocols(protocols.iter().map(|name| (*name).to_owned()));
    web_transport_quinn::Session::connect(connection, request).await.map_err(|error| match &error {
        ClientError::HttpError(
            ConnectError::ErrorStatus(status)
            | ConnectError::ProtoError(
                ConnectStreamError::WrongStatus(Some(status)) | ConnectStreamError::ErrorStatus(status),
            ),
        ) => Refused::Protocol(format!("HTTP {}", status.as_u16())),
        _ => Refused::Other(chain(&error)),
    })
}

fn alpn_of(connection: &quinn::Connection) -> Option<String> {
    let data = connection.handshake_data()?.downcast::<quinn::crypto::rustls::HandshakeData>().ok()?;
    data.protocol.map(|name| String::from_utf8_lossy(&name).into_owned())
}

/// An error and its causes in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Takes every certificate.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        // QUIC is TLS 1.3 only (RFC 9001 §4.2).
        Err(rustls::PeerIncompatible::Tls12NotOfferedOrEnabled.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
