//! Which versions, cipher suites and groups are spoken.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs;
use rustls::crypto::aws_lc_rs::kx_group;
use rustls::{CipherSuite, SupportedProtocolVersion};

/// For QUIC and wherever nothing older is wanted.
pub(crate) const ONLY_13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// The oldest TLS version that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MinVersion {
    /// TLS 1.2.
    #[default]
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// Which ciphers and groups are spoken, after Mozilla's recommendations for servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Profile {
    /// TLS 1.3, and of TLS 1.2 what has forward secrecy and authenticated encryption; X25519, P-256 and P-384,
    /// also with ML-KEM beside X25519.
    #[default]
    Intermediate,
    /// TLS 1.3 only; X25519 and P-256, also with ML-KEM beside X25519.
    Modern,
}

impl Profile {
    /// The algorithms of this profile, the cheapest first: all are strong. Only clients that put ChaCha20 first
    /// decide by their own order: they know that their machine does it faster.
    pub(crate) fn provider(self) -> Arc<CryptoProvider> {
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites.sort_by_key(|suite| !is_aes_128(suite.suite()));
        if self == Self::Modern {
            provider.cipher_suites.retain(|suite| suite.tls13().is_some());
            provider.kx_groups = vec![kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1];
        }
        Arc::new(provider)
    }

    /// The versions that are spoken, where the oldest may be `min`.
    pub(crate) fn versions(self, min: MinVersion) -> &'static [&'static SupportedProtocolVersion] {
        match (self, min) {
            (Self::Intermediate, MinVersion::Tls12) => rustls::ALL_VERSIONS,
            _ => ONLY_13,
        }
    }
}

fn is_aes_128(suite: CipherSuite) -> bool {
    matches!(
        suite,
        CipherSuite::TLS13_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
    )
}
