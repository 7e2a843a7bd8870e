//! Whether Proxmox is who it claims to be: by a CA, by the fingerprint of its certificate, or by the system's CAs.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use schema::digest::Digest;
use sha2::{Digest as _, Sha256};

use super::VmError;
use crate::config::ProxmoxTrust;

/// How connections are secured.
pub(super) fn tls(trust: &ProxmoxTrust) -> Result<ClientConfig, VmError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| VmError::Strange {
            place: "TLS".to_owned(),
            what: error.to_string(),
        })?;
    Ok(match trust {
        ProxmoxTrust::Ca(path) => builder.with_root_certificates(roots(path)?),
        ProxmoxTrust::System => {
            let mut store = RootCertStore::empty();
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            builder.with_root_certificates(store)
        }
        ProxmoxTrust::Fingerprint(digest) => {
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Pinned {
                    digest: *digest,
                    provider,
                }))
        }
    }
    .with_no_client_auth())
}

fn roots(path: &Path) -> Result<RootCertStore, VmError> {
    let setting = "proxmox.ca";
    let pem = fs::read(path).map_err(VmError::read(setting, path))?;
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| VmError::file(setting, path, error))?;
        let added = store.add(certificate);
        added.map_err(|error| VmError::file(setting, path, error))?;
    }
    if store.is_empty() {
        return Err(VmError::file(
            setting,
            path,
            "there is no certificate in it",
        ));
    }
    Ok(store)
}

/// Trusts one certificate and no other, whatever name or end it has.
#[derive(Debug)]
struct Pinned {
    digest: Digest,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if Digest::new(Sha256::digest(end_entity).into()) == self.digest {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(
                CertificateError::ApplicationVerificationFailure,
            ))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let known = &self.provider.signature_verification_algorithms;
        known.supported_schemes()
    }
}
