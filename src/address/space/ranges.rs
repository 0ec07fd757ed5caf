//! Where an allocation may look: what allowed and disallowed blocks leave of a space, as plain blocks.

use crate::address::Cidr;

/// The blocks of `space` in which every block satisfies INV-A5: it lies inside one allowed block (anywhere, when none
/// is named) and shares no address with a disallowed one. In address order; they share no address, and each is as large as can be
/// within its allowed block.
///
/// At most (`allowed` or 1) + `disallowed` × 127 of them: a block cut out leaves one free block for each bit.
#[must_use]
pub fn search_ranges(space: Cidr, allowed: &[Cidr], disallowed: &[Cidr]) -> Vec<Cidr> {
    let allowed = if allowed.is_empty() { &[space] } else { allowed };
    let mut clipped: Vec<Cidr> = allowed
        .iter()
        .filter(|block| block.overlaps(space))
        .map(|block| if block.contains(space) { space } else { *block })
        .collect();
    // Every block now stands directly before those inside it.
    clipped.sort_unstable();
    let mut ranges = Vec::new();
    let mut last: Option<Cidr> = None;
    for block in clipped {
        if last.is_none_or(|last| !last.contains(block)) {
            last = Some(block);
            carve(block, disallowed, &mut ranges);
        }
    }
    ranges
}

/// Adds what is left of a block without some others, in address order.
fn carve(block: Cidr, without: &[Cidr], left: &mut Vec<Cidr>) {
    if without.iter().any(|other| other.contains(block)) {
        return;
    }
    let inside: Vec<Cidr> = without.iter().copied().filter(|other| block.contains(*other)).collect();
    match block.halves() {
        Some((lower, upper)) if !inside.is_empty() => {
            carve(lower, &inside, left);
            carve(upper, &inside, left);
        }
        _ => left.push(block),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidrs(text: &str) -> Vec<Cidr> {
        text.split_whitespace().map(|text| text.parse().expect("a test's CIDR is well formed")).collect()
    }

    #[test]
    fn inv_a5_ranges_are_what_allowed_minus_disallowed_leaves() {
        for (space, allowed, disallowed, expect) in [
            ("10.0.0.0/24", "", "", "10.0.0.0/24"),
            ("10.0.0.0/24", "0.0.0.0/0", "", "10.0.0.0/24"),
            ("10.0.0.0/24", "11.0.0.0/8", "", ""),
            ("10.0.0.0/24", "2001:db8::/32", "", ""),
            ("10.0.0.0/24", "", "2001:db8::/32 11.0.0.0/8", "10.0.0.0/24"),
            ("10.0.0.0/24", "", "10.0.0.0/8", ""),
            ("10.0.0.0/24", "10.0.0.0/24", "10.0.0.0/25 10.0.0.128/25", ""),
            // Two allowed halves are two ranges: a block inside none of them is not allowed.
            ("10.0.0.0/24", "10.0.0.128/25 10.0.0.0/25 10.0.0.0/26", "", "10.0.0.0/25 10.0.0.128/25"),
            ("10.0.0.0/24", "", "10.0.0.64/26", "10.0.0.0/26 10.0.0.128/25"),
            ("10.0.0.0/30", "", "10.0.0.1/32 10.0.0.1/32", "10.0.0.0/32 10.0.0.2/31"),
            ("10.0.0.1/32", "", "10.0.0.1/32", ""),
            ("10.0.0.1/32", "", "10.0.0.0/32", "10.0.0.1/32"),
            ("::/126", "::/0", "::1/128 ::2/128", "::/128 ::3/128"),
        ] {
            let space = space.parse().expect("a CIDR");
            assert_eq!(
                search_ranges(space, &cidrs(allowed), &cidrs(disallowed)),
                cidrs(expect),
                "{space} + {allowed} - {disallowed}"
            );
        }
    }

    #[test]
    fn the_longest_answer_is_bounded() {
        let space: Cidr = "::/0".parse().expect("a CIDR");
        let disallowed: Vec<Cidr> =
            (0..50u128).map(|n| Cidr::containing(space.family(), n << 122 | 0x5555, 128)).collect();
        let ranges = search_ranges(space, &[], &disallowed);
        assert!(ranges.len() <= 1 + 50 * 127, "{}", ranges.len());
        assert!(ranges.is_sorted());
    }
}
