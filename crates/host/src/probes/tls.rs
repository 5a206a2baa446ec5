//! TLS as a user's browser judges it, and the certificate of our own handshake.
//!
//! Invariant: a connection is handed out only where the certificate was verified against the system's roots
//! (and the CA that was asked for) and the name; the certificate is told also where it was not. Every
//! handshake is a full one: a resumed session would show an old certificate. Does not ask whether a
//! certificate was revoked.

use std::path::Path;
use std::sync::{Arc, Mutex};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, ProtocolVersion,
    RootCertStore, SignatureScheme,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::wire::{Deadline, broken};
use super::{Certificate, presentable};

/// Names of protocols as they are offered in a handshake (RFC 7301).
const HTTP1: &[u8] = b"http/1.1";
const HTTP2: &[u8] = b"h2";

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Whom we trust.
pub(super) struct Trust {
    provider: Arc<CryptoProvider>,
    verifier: Arc<WebPkiServerVerifier>,
    own: Vec<CertificateDer<'static>>,
}

impl Trust {
    /// The system's roots and the certificates in the PEM file `ca`. Reads files; the reason of a failure is
    /// for people.
    pub(super) fn new(ca: Option<&Path>) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let own = ca.map(certificates).transpose()?.unwrap_or_default();
        roots.add_parsable_certificates(own.iter().cloned());
        if roots.is_empty() {
            return Err("this system has no root certificates: install ca-certificates".to_owned());
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::clone(&provider))
            .build()
            .map_err(|e| format!("the root certificates can't be used: {e}"))?;
        Ok(Self { provider, verifier, own })
    }

    /// Makes a handshake. The certificate comes with the result, whichever it is.
    pub(super) async fn handshake(
        &self,
        name: ServerName<'static>,
        stream: TcpStream,
        deadline: &Deadline,
    ) -> (Result<TlsStream<TcpStream>, String>, Option<Certificate>) {
        let recorder = Arc::new(Recorder {
            verifier: Arc::clone(&self.verifier),
            own: self.own.clone(),
            seen: Mutex::default(),
        });
        let config = match self.config(&recorder, &[HTTP2, HTTP1]) {
            Ok(config) => config,
            Err(error) => return (Err(format!("TLS can't be set up: {error}")), None),
        };
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
        let connecting = async { Ok(connecting.await) };
        let result = deadline.within("TLS handshake", connecting).await;
        let seen = recorder.seen.lock().ok().and_then(|mut seen| seen.take());
        let mut certificate = seen.and_then(|der| read(&der));
        let result = match result {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(reason(&error, certificate.as_mut())),
            Err(late) => Err(late),
        };
        (result, certificate)
    }

    /// `offered` is what may be spoken, what is preferred first.
    fn config(&self, recorder: &Arc<Recorder>, offered: &[&[u8]]) -> Result<ClientConfig, Error> {
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?;
        let verifier: Arc<dyn ServerCertVerifier> = Arc::<Recorder>::clone(recorder);
        let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        config.alpn_protocols = offered.iter().map(|name| name.to_vec()).collect();
        Ok(config)
    }
}

/// How a client of another library connects as a question does: the same roots, the same own authority. It speaks
/// HTTP/1.1, where a `Host` of one's own is nothing but a header.
pub(super) fn client(ca: Option<&Path>) -> Result<ClientConfig, String> {
    let trust = Trust::new(ca)?;
    let recorder = Arc::new(Recorder {
        verifier: Arc::clone(&trust.verifier),
        own: trust.own.clone(),
        seen: Mutex::default(),
    });
    trust.config(&recorder, &[HTTP1]).map_err(|error| format!("TLS can't be set up: {error}"))
}

/// Whether the server chose HTTP/2.
pub(super) fn chose_http2(stream: &TlsStream<TcpStream>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(HTTP2)
}

/// What was agreed on.
pub(super) fn version(stream: &TlsStream<TcpStream>) -> Option<&'static str> {
    match stream.get_ref().1.protocol_version()? {
        ProtocolVersion::TLSv1_2 => Some("TLS 1.2"),
        ProtocolVersion::TLSv1_3 => Some("TLS 1.3"),
        _ => None,
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let name = file.display();
    let bytes = std::fs::read(file).map_err(|e| format!("the CA file {name} can't be read: {e}"))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if found.is_empty() => Err(format!("the CA file {name} holds no certificate in PEM form")),
        Ok(found) => Ok(found),
        Err(_) => Err(format!("the CA file {name} is not in PEM form")),
    }
}

/// Verifies as rustls does, and remembers what was shown.
#[derive(Debug)]
struct Recorder {
    verifier: Arc<WebPkiServerVerifier>,
    own: Vec<CertificateDer<'static>>,
    seen: Mutex<Option<CertificateDer<'static>>>,
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Ok(mut seen) = self.seen.lock() {
            *seen = Some(end_entity.clone().into_owned());
        }
        if self.own.iter().any(|c| c == end_entity) {
            return verify_pinned(end_entity, server_name, now);
        }
        self.verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// A self-signed server certificate that the operator named as its own authority. It has no chain to verify
/// (and openssl makes such certificates as CAs, which webpki takes for no server's), but a name and dates.
fn verify_pinned(
    der: &CertificateDer<'_>,
    name: &ServerName<'_>,
    now: UnixTime,
) -> Result<ServerCertVerified, Error> {
    let (_, parsed) = X509Certificate::from_der(der).map_err(|_| CertificateError::BadEncoding)?;
    let seconds =
        |time: i64| UnixTime::since_unix_epoch(std::time::Duration::from_secs(time.max(0).unsigned_abs()));
    let not_before = seconds(parsed.validity().not_before.timestamp());
    let not_after = seconds(parsed.validity().not_after.timestamp());
    if now < not_before {
        return Err(CertificateError::NotValidYetContext { time: now, not_before }.into());
    }
    if now > not_after {
        return Err(CertificateError::ExpiredContext { time: now, not_after }.into());
    }
    verify_server_name(&ParsedCertificate::try_from(der)?, name)?;
    Ok(ServerCertVerified::assertion())
}

fn read(der: &CertificateDer<'_>) -> Option<Certificate> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    let not_after_ms = parsed.validity().not_after.timestamp().saturating_mul(1000);
    let now = jiff::Timestamp::now().as_millisecond();
    Some(Certificate {
        not_after_ms,
        days_left: not_after_ms.saturating_sub(now).div_euclid(DAY_MS),
        issuer: presentable(&parsed.issuer().to_string()),
        subject: presentable(&parsed.subject().to_string()),
        trouble: None,
    })
}

/// Why there is no TLS connection; where the certificate is the reason, it is told so.
fn reason(error: &std::io::Error, certificate: Option<&mut Certificate>) -> String {
    let Some(cause) = error.get_ref().and_then(|e| e.downcast_ref::<Error>()) else {
        return if error.kind() == std::io::ErrorKind::UnexpectedEof {
            "the server hung up in the TLS handshake".to_owned()
        } else {
            broken(error)
        };
    };
    match cause {
        Error::InvalidCertificate(why) => {
            let text = refused(why, certificate.as_deref());
            if let Some(certificate) = certificate {
                certificate.trouble = Some(text.clone());
            }
            text
        }
        Error::AlertReceived(AlertDescription::UnrecognisedName) => {
            "the server knows no such name (TLS alert unrecognized_name)".to_owned()
        }
        Error::AlertReceived(alert) => format!("the server refused the TLS handshake (alert {alert:?})"),
        Error::InvalidMessage(_) => "the port does not speak TLS".to_owned(),
        other => format!("the TLS handshake failed: {}", presentable(&other.to_string())),
    }
}

fn refused(why: &CertificateError, certificate: Option<&Certificate>) -> String {
    let self_signed = certificate.is_some_and(|c| c.issuer == c.subject);
    match why {
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("certificate expired on {}", day(*not_after))
        }
        CertificateError::Expired => "certificate expired".to_owned(),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("certificate is not valid before {}", day(*not_before))
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names: Vec<String> = presented.iter().map(|n| presented_name(n)).collect();
            let names = if names.is_empty() { "no name at all".to_owned() } else { names.join(", ") };
            format!("certificate is not for {}, but for {}", expected.to_str(), presentable(&names))
        }
        CertificateError::UnknownIssuer | CertificateError::Other(_) if self_signed => {
            "certificate is self-signed and not trusted here".to_owned()
        }
        CertificateError::UnknownIssuer => {
            let issuer = certificate.map_or("somebody unknown", |c| c.issuer.as_str());
            format!("certificate was issued by {issuer}, which is not trusted here")
        }
        other => format!("certificate is not accepted: {}", presentable(&other.to_string())),
    }
}

/// `DnsName("app.test")` and `IpAddress(::1)`, as webpki writes them, without their wrapping.
fn presented_name(text: &str) -> String {
    let inner = text.split_once('(').map_or(text, |(_, rest)| rest.trim_end_matches(')'));
    inner.trim_matches('"').to_owned()
}

fn day(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds)
        .map(|t| t.strftime("%Y-%m-%d").to_string())
        .unwrap_or_else(|_| "a date that can't be told".to_owned())
}
