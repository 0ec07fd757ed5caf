//! Which partition decides an organisation (design D2): the default of Kafka's Java clients, so that their
//! producers need no configuration. Other clients default to another partitioner; what they send elsewhere is
//! forwarded.

use super::record::Partition;
use crate::domain::id::OrganizationId;

/// The partition of an organisation in a ledger of so many partitions.
///
/// # Panics
/// When `partitions` is 0.
#[must_use]
pub fn partition_of(organization: &OrganizationId, partitions: u32) -> Partition {
    Partition((murmur2(organization.as_str().as_bytes()) & 0x7fff_ffff) % partitions)
}

/// `org.apache.kafka.common.utils.Utils.murmur2`.
fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    // Java's lengths are signed 32-bit numbers; only these bits take part.
    #[expect(clippy::cast_possible_truncation)]
    let mut hash = SEED ^ (data.len() as u32);
    let (chunks, rest) = data.as_chunks::<4>();
    for chunk in chunks {
        let mut k = u32::from_le_bytes(*chunk).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    for (byte, shift) in rest.iter().zip([0, 8, 16]) {
        hash ^= u32::from(*byte) << shift;
    }
    if !rest.is_empty() {
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From Kafka's own `UtilsTest.testMurmur2`.
    #[test]
    fn hashes_as_kafkas_java_client_does() {
        for (data, expected) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(data.as_bytes()).cast_signed(), expected, "{data}");
        }
    }

    #[test]
    fn partitions_are_below_their_number() {
        for index in 0..1_000 {
            let organization: OrganizationId = format!("{index:012}").parse().expect("a lone account");
            assert!(partition_of(&organization, 6).0 < 6);
            assert_eq!(partition_of(&organization, 1), Partition(0));
        }
    }
}
