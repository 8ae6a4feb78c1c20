//! TLS configurations: a certificate made at start, or the user's; a client that looks, or not.
//!
//! Everything but certificates is as rustls has it by default: TLS 1.2 and 1.3, and sessions that
//! are resumed where the server offers it, as a busy mail client would.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{
        CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime,
        pem::{self, PemObject},
    },
};
use thiserror::Error;

/// Whom the certificate made at start names.
const OWN_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Why there is no TLS configuration.
#[derive(Debug, Error)]
pub enum TlsError {
    #[error("a certificate cannot be made: {0}; give one by file")]
    Make(#[from] rcgen::Error),
    #[error("{path} cannot be read as PEM: {error}; give a file in that form")]
    Read { path: PathBuf, error: pem::Error },
    #[error("{0} holds no certificate; give a PEM file with at least one")]
    NoCertificate(PathBuf),
    #[error("the certificate or key is not fit for TLS: {0}; give another pair")]
    Unfit(#[from] rustls::Error),
    #[error("`{0}` is no name that a certificate could hold; write a host name or an address")]
    Name(String),
}

/// A server with a self-signed certificate for this machine, made now.
pub fn server_config() -> Result<Arc<ServerConfig>, TlsError> {
    let made = rcgen::generate_simple_self_signed(OWN_NAMES.map(String::from))?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    server(vec![made.cert.der().clone()], key.into())
}

/// A server with the certificate chain and the key of two PEM files.
pub fn server_config_from(certificates: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let read = |error| TlsError::Read { path: key.to_owned(), error };
    server(read_certificates(certificates)?, PrivateKeyDer::from_pem_file(key).map_err(read)?)
}

/// A client. With a PEM file of authorities it looks at certificates; without one it takes any
/// certificate from anybody: what it talks to is a server under test, and what it sends is made up.
pub fn client_config(verify: Option<&Path>) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = provider();
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?;
    let builder = match verify {
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in read_certificates(path)? {
                roots.add(certificate)?;
            }
            builder.with_root_certificates(roots)
        }
        None => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate { provider })),
    };
    Ok(Arc::new(builder.with_no_client_auth()))
}

/// Whom a client asks for at `HOST:PORT`.
pub fn server_name(target: &str) -> Result<ServerName<'static>, TlsError> {
    let host = target.rsplit_once(':').map_or(target, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(address) => Ok(address.into()),
        Err(_) => {
            ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Name(host.to_owned()))
        }
    }
}

fn server(
    certificates: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, key)?;
    Ok(Arc::new(config))
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(|found| found.collect::<Result<Vec<_>, _>>())
        .map_err(|error| TlsError::Read { path: path.to_owned(), error })?;
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate(path.to_owned()));
    }
    Ok(certificates)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Takes every certificate, and still checks that the server holds its key: the arithmetic of a
/// handshake is part of what is measured.
#[derive(Debug)]
struct AnyCertificate {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustls::{ClientConnection, ServerConnection};

    use super::*;

    /// Carries octets both ways in memory until both sides are done, or one has a fault.
    fn shake(
        client: Arc<ClientConfig>,
        server: Arc<ServerConfig>,
        name: &str,
    ) -> Result<(), rustls::Error> {
        let mut client = ClientConnection::new(client, server_name(name).unwrap())?;
        let mut server = ServerConnection::new(server)?;
        while client.is_handshaking() || server.is_handshaking() {
            let mut flight = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut flight).unwrap();
            }
            let mut rest = flight.as_slice();
            while !rest.is_empty() {
                server.read_tls(&mut rest).unwrap();
                server.process_new_packets()?;
            }
            let mut flight = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut flight).unwrap();
            }
            let mut rest = flight.as_slice();
            while !rest.is_empty() {
                client.read_tls(&mut rest).unwrap();
                client.process_new_packets()?;
            }
        }
        Ok(())
    }

    #[test]
    fn certificates_are_looked_at_only_where_authorities_are_given() {
        let folder = tempfile::tempdir().unwrap();
        let [chain, key, other] =
            ["chain.pem", "key.pem", "other.pem"].map(|name| folder.path().join(name));
        let made = rcgen::generate_simple_self_signed(OWN_NAMES.map(String::from)).unwrap();
        let stranger = rcgen::generate_simple_self_signed(OWN_NAMES.map(String::from)).unwrap();
        fs::write(&chain, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        fs::write(&other, stranger.cert.pem()).unwrap();

        let own = server_config_from(&chain, &key).unwrap();
        for (verify, name, works) in [
            (Some(&chain), "localhost:25", true),
            (Some(&chain), "127.0.0.1:25", true),
            (Some(&chain), "[::1]:25", true),
            (Some(&chain), "mx.example.net:25", false),
            (Some(&other), "localhost:25", false),
            (None, "mx.example.net:25", true),
            (None, "192.0.2.1:25", true),
        ] {
            let client = client_config(verify.map(|path| path.as_path())).unwrap();
            let shaken = shake(client, own.clone(), name);
            assert_eq!(shaken.is_ok(), works, "{verify:?} {name}: {shaken:?}");
        }
        shake(client_config(None).unwrap(), server_config().unwrap(), "localhost:25").unwrap();
    }

    #[test]
    fn unfit_files_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let [empty, absent] = ["empty.pem", "absent.pem"].map(|name| folder.path().join(name));
        fs::write(&empty, "").unwrap();
        for (fault, want) in [
            (client_config(Some(&empty)).err(), "empty.pem holds no certificate"),
            (client_config(Some(&absent)).err(), "absent.pem cannot be read as PEM"),
            (server_config_from(&empty, &absent).err(), "empty.pem holds no certificate"),
        ] {
            let said = fault.unwrap().to_string();
            assert!(said.contains(want), "{said}");
        }
        assert!(server_name("a b:25").is_err());
    }
}
