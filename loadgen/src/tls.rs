//! TLS between connections and what is said over them.

use crate::outbox::Outbox;
use crate::scenario::Tls;
use ringcast_wire::ConnectionKey;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use std::collections::HashMap;
use std::fmt;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The sessions of a thread's clients.
#[derive(Debug)]
pub(crate) struct Sessions {
    settings: Settings,
    /// By client.
    sessions: HashMap<u32, ClientConnection>,
    /// What goes to the kernel.
    pub(crate) sealed: Outbox,
}

/// How all clients speak TLS; read once.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    config: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
}

/// Why clients can't speak TLS.
#[derive(Debug)]
pub(crate) enum SettingsError {
    File(&'static str, PathBuf, String),
    KeyAlone,
    Refused(rustls::Error),
    Name(String),
}

/// What a client has on its way to the kernel before more is sealed for it, at most.
const BACKLOG_BYTES_MAX: usize = 256 << 10;

impl Settings {
    pub(crate) fn read(tls: &Tls) -> Result<Self, SettingsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(SettingsError::Refused)?;
        let builder = match &tls.authority {
            Some(file) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates("target.tls.authority", file)? {
                    roots.add(certificate).map_err(SettingsError::Refused)?;
                }
                builder.with_root_certificates(roots)
            }
            None => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Anybody(provider))),
        };
        let mut config = match (&tls.certificate, &tls.key) {
            (None, None) => builder.with_no_client_auth(),
            (Some(certificate), Some(key)) => {
                let chain = certificates("target.tls.certificate", certificate)?;
                let key = PrivateKeyDer::from_pem_file(key).map_err(|error| {
                    SettingsError::File("target.tls.key", key.clone(), error.to_string())
                })?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(SettingsError::Refused)?
            }
            _ => return Err(SettingsError::KeyAlone),
        };
        // Each client is another one: none resumes another's session.
        config.resumption = rustls::client::Resumption::disabled();
        let name = |name: &String| {
            ServerName::try_from(name.clone()).map_err(|_| SettingsError::Name(name.clone()))
        };
        Ok(Self {
            config: Arc::new(config),
            server_name: tls.server_name.as_ref().map(name).transpose()?,
        })
    }
}

fn certificates(
    key: &'static str,
    file: &Path,
) -> Result<Vec<CertificateDer<'static>>, SettingsError> {
    let failed = |says: String| SettingsError::File(key, file.to_owned(), says);
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file)
        .map_err(|error| failed(error.to_string()))?
        .collect();
    match found {
        Ok(found) if found.is_empty() => Err(failed("there is no certificate in it".to_owned())),
        Ok(found) => Ok(found),
        Err(error) => Err(failed(error.to_string())),
    }
}

impl Sessions {
    pub(crate) fn new(settings: Settings, clients: u32) -> Self {
        Self {
            settings,
            sessions: HashMap::new(),
            sealed: Outbox::new(clients),
        }
    }

    /// The connection of a client stands: its handshake begins.
    pub(crate) fn begin(
        &mut self,
        key: ConnectionKey,
        server: SocketAddr,
    ) -> Result<(), rustls::Error> {
        let name = self.settings.server_name.clone();
        let name = name.unwrap_or_else(|| ServerName::IpAddress(server.ip().into()));
        let mut session = ClientConnection::new(Arc::clone(&self.settings.config), name)?;
        write(&mut session, self.sealed.buffer(key));
        self.sessions.insert(key.index(), session);
        Ok(())
    }

    /// Whether a client's handshake has begun.
    pub(crate) fn has(&self, client: u32) -> bool {
        self.sessions.contains_key(&client)
    }

    /// Opens what came, and appends it to `plain`. True if the handshake was completed by
    /// it.
    pub(crate) fn open(
        &mut self,
        key: ConnectionKey,
        mut bytes: &[u8],
        plain: &mut Vec<u8>,
    ) -> Result<bool, rustls::Error> {
        let Some(session) = self.sessions.get_mut(&key.index()) else {
            return Ok(false);
        };
        let was_handshaking = session.is_handshaking();
        while !bytes.is_empty() {
            if session.read_tls(&mut bytes).is_err() {
                break;
            }
            let state = session.process_new_packets();
            if state.is_err() {
                // The alert that says why.
                write(session, self.sealed.buffer(key));
            }
            let state = state?;
            let begins = plain.len();
            plain.resize(begins + state.plaintext_bytes_to_read(), 0);
            let read = session.reader().read(&mut plain[begins..]).unwrap_or(0);
            plain.truncate(begins + read);
        }
        if session.wants_write() {
            write(session, self.sealed.buffer(key));
        }
        Ok(was_handshaking && !session.is_handshaking())
    }

    /// Seals all that clients say.
    pub(crate) fn seal(&mut self, plain: &mut Outbox) {
        plain.hand_over(|key, bytes| {
            if self.sealed.bytes(key.index()) > BACKLOG_BYTES_MAX {
                return false;
            }
            if let Some(session) = self.sessions.get_mut(&key.index()) {
                for chunk in bytes.chunks(SEALED_AT_ONCE) {
                    session
                        .writer()
                        .write_all(chunk)
                        .expect("its buffer was emptied");
                    write(session, self.sealed.buffer(key));
                }
            }
            true
        });
    }

    /// A client's connection has ended.
    pub(crate) fn forget(&mut self, client: u32) {
        self.sessions.remove(&client);
        self.sealed.forget(client);
    }
}

/// A session buffers 64 KiB.
const SEALED_AT_ONCE: usize = 32 << 10;

fn write(session: &mut ClientConnection, out: &mut Vec<u8>) {
    while session.wants_write() {
        session
            .write_tls(out)
            .expect("a vector takes all that is written");
    }
}

/// Believes every server to be who it says: without an authority the load is what matters.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(key, path, says) => write!(
                formatter,
                "{key}: {}: {says}; it must be a file in PEM",
                path.display()
            ),
            Self::KeyAlone => formatter.write_str(
                "target.tls: a client certificate and its key go together: name both \
                 (target.tls.certificate, target.tls.key)",
            ),
            Self::Refused(error) => write!(formatter, "target.tls: {error}"),
            Self::Name(name) => write!(
                formatter,
                "target.tls.server_name: {name:?} is neither a host's name nor an address"
            ),
        }
    }
}

impl std::error::Error for SettingsError {}
