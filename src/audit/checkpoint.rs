//! Signed checkpoints: where every history stood, so that a later auditor can tell whether it was rewritten.
//!
//! A checkpoint holds no state, only positions and hashes: every byte before it hangs on the hashes of the heads. It is
//! two lines of text; the signature is over the bytes of the first, without its line feed, so that any tool can check
//! it (`docs/audit/README.md`).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _, EncodePublicKey as _, KeypairBytes};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use super::report::{Head, Report};
use crate::domain::id::OrganizationId;
use crate::domain::time::Timestamp;
use crate::log::admission::Admission;
use crate::log::partition::partition_of;
use crate::log::record::{LedgerId, Partition};

const FORMAT: &str = "ipam-checkpoint-1";
const ALGORITHM: &str = "ed25519";

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    format: String,
    pub ledger: LedgerId,
    /// The number of partitions of the ledger, for ever.
    pub partitions: u32,
    /// By the clock of whoever signed.
    pub made_at: Timestamp,
    /// Per partition, the position and the fold of admission there.
    pub admissions: BTreeMap<Partition, Admission>,
    pub heads: BTreeMap<OrganizationId, Head>,
}

/// The second line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seal {
    algorithm: String,
    /// Hexadecimal, as is the signature.
    public_key: String,
    signature: String,
}

/// Why a checkpoint is not to be relied on, or cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("it is no checkpoint ({0}): a checkpoint is the file that `ipam audit checkpoint` wrote, unchanged")]
    Malformed(String),
    #[error("its signature is not that of its first line: it was changed after it was signed")]
    Changed,
    #[error("it was signed with another key: {found}, not {expected}")]
    OtherKey { expected: String, found: String },
    #[error("it is no Ed25519 key in PEM ({0}); `ipam audit key --out FILE` makes one")]
    Key(String),
    #[error("there is nothing to sign: the log has no reign yet")]
    Empty,
}

impl Statement {
    /// What a clean audit of a whole log saw.
    ///
    /// # Errors
    /// When the log is empty.
    pub fn of(report: &Report, made_at: Timestamp) -> Result<Self, CheckpointError> {
        let reign = report.admissions.values().find_map(|admission| admission.reign).ok_or(CheckpointError::Empty)?;
        Ok(Self {
            format: FORMAT.to_owned(),
            ledger: reign.ledger,
            partitions: reign.partitions,
            made_at,
            admissions: report.admissions.clone(),
            heads: report.heads.clone(),
        })
    }

    /// Where a partition stood.
    pub(super) fn mark(&self, partition: Partition) -> Option<&Admission> {
        self.admissions.get(&partition)
    }

    /// The heads of the organisations of a partition.
    pub(super) fn heads_in(&self, partition: Partition) -> impl Iterator<Item = (&OrganizationId, Head)> {
        let of = move |id: &OrganizationId| self.partitions > 0 && partition_of(id, self.partitions) == partition;
        self.heads.iter().filter(move |(id, _)| of(id)).map(|(id, head)| (id, *head))
    }

    /// The text of the checkpoint: the statement, and its signature.
    pub fn sign(&self, key: &PrivateKey) -> String {
        let line = serde_json::to_string(self).expect("a statement holds nothing that JSON cannot");
        let seal = Seal {
            algorithm: ALGORITHM.to_owned(),
            public_key: hex(key.0.verifying_key().as_bytes()),
            signature: hex(&key.0.sign(line.as_bytes()).to_bytes()),
        };
        let seal = serde_json::to_string(&seal).expect("a seal is texts");
        format!("{line}\n{seal}\n")
    }

    /// Reads a checkpoint, and checks its signature against `key`, or against the key that it names itself: then it is
    /// known to be whole, but not who signed it.
    ///
    /// # Errors
    /// When it is none, was changed, or was signed with another key.
    pub fn read(text: &str, key: Option<&PublicKey>) -> Result<Self, CheckpointError> {
        let malformed = |what: &str| CheckpointError::Malformed(what.to_owned());
        let (line, seal) = text.split_once('\n').ok_or_else(|| malformed("it has one line where two belong"))?;
        let seal: Seal = serde_json::from_str(seal).map_err(|error| malformed(&format!("second line: {error}")))?;
        if seal.algorithm != ALGORITHM {
            return Err(malformed(&format!("its signature is {}, not {ALGORITHM}", seal.algorithm)));
        }
        let named = unhex(&seal.public_key).ok_or_else(|| malformed("its public key is not 64 hexadecimal digits"))?;
        let named = VerifyingKey::from_bytes(&named).map_err(|_| malformed("its public key is none"))?;
        if let Some(PublicKey(expected)) = key
            && *expected != named
        {
            let (expected, found) = (hex(expected.as_bytes()), hex(named.as_bytes()));
            return Err(CheckpointError::OtherKey { expected, found });
        }
        let signature =
            unhex(&seal.signature).ok_or_else(|| malformed("its signature is not 128 hexadecimal digits"))?;
        named
            .verify_strict(line.as_bytes(), &Signature::from_bytes(&signature))
            .map_err(|_| CheckpointError::Changed)?;
        let statement: Self = serde_json::from_str(line).map_err(|error| malformed(&format!("first line: {error}")))?;
        if statement.format != FORMAT {
            return Err(malformed(&format!("its format is {}; this program reads {FORMAT}", statement.format)));
        }
        Ok(statement)
    }
}

/// An Ed25519 key that signs.
#[derive(Debug)]
pub struct PrivateKey(SigningKey);

/// An Ed25519 key that checks.
#[derive(Debug)]
pub struct PublicKey(VerifyingKey);

impl PrivateKey {
    /// The key of 32 random bytes.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Reads PKCS#8 in PEM, as `openssl genpkey -algorithm ed25519` writes it.
    ///
    /// # Errors
    /// When it is none.
    pub fn from_pem(pem: &str) -> Result<Self, CheckpointError> {
        SigningKey::from_pkcs8_pem(pem).map(Self).map_err(|error| CheckpointError::Key(error.to_string()))
    }

    /// PKCS#8 in PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        use ed25519_dalek::pkcs8::EncodePrivateKey as _;
        // Without the public key in it: OpenSSL reads the first version of the format only.
        let key = KeypairBytes { secret_key: self.0.to_bytes(), public_key: None };
        key.to_pkcs8_pem(LineEnding::LF).expect("32 bytes can be encoded").to_string()
    }

    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }
}

impl PublicKey {
    /// Reads a `SubjectPublicKeyInfo` in PEM, as `openssl pkey -pubout` writes it.
    ///
    /// # Errors
    /// When it is none.
    pub fn from_pem(pem: &str) -> Result<Self, CheckpointError> {
        VerifyingKey::from_public_key_pem(pem).map(Self).map_err(|error| CheckpointError::Key(error.to_string()))
    }

    /// `SubjectPublicKeyInfo` in PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        self.0.to_public_key_pem(LineEnding::LF).expect("32 bytes can be encoded")
    }

    /// The key in hexadecimal, as checkpoints name it.
    #[must_use]
    pub fn name(&self) -> String {
        hex(self.0.as_bytes())
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes all that is written to it");
        text
    })
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    unhexed(text.as_bytes())?.try_into().ok()
}

/// The bytes of hexadecimal digits.
pub(super) fn unhexed(digits: &[u8]) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    pairs.iter().map(|[high, low]| Some(value(*high)? << 4 | value(*low)?)).collect()
}
