//! The index against a list of blocks and a search of every aligned block.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn cidr(text: &str) -> Cidr {
    text.parse().expect("a test's CIDR is well formed")
}

/// Everything by comparing all pairs; only for spaces of at most 256 addresses, or few lengths.
#[derive(Clone, Debug)]
struct Naive {
    space: Cidr,
    held: BTreeMap<Cidr, Slot>,
    seen: Vec<Cidr>,
}

impl Naive {
    fn is_free(&self, cidr: Cidr) -> bool {
        self.space.contains(cidr) && !self.held.keys().chain(&self.seen).any(|other| other.overlaps(cidr))
    }

    fn blocks_of(&self, length: u8) -> Vec<Cidr> {
        let family = self.space.family();
        let Some(more) = length.checked_sub(self.space.length()).filter(|_| length <= family.bits()) else {
            return Vec::new();
        };
        let step = |n: u128| if length == 0 { 0 } else { n << (family.bits() - length) };
        (0..1u128 << more).map(|n| Cidr::containing(family, self.space.first() + step(n), length)).collect()
    }

    fn largest_around(&self, cidr: Cidr) -> Cidr {
        (self.space.length()..=cidr.length())
            .filter_map(|length| cidr.widened_to(length))
            .find(|around| self.is_free(*around))
            .expect("the block itself is free")
    }

    fn find(&self, length: u8, fit: Fit, within: Option<Cidr>) -> Option<Cidr> {
        let free: Vec<Cidr> = self
            .blocks_of(length)
            .into_iter()
            .filter(|block| within.is_none_or(|within| within.contains(*block)) && self.is_free(*block))
            .collect();
        match fit {
            Fit::First => free.first().copied(),
            Fit::Best => {
                let space_of = |block: &Cidr| std::cmp::Reverse(self.largest_around(*block).length());
                free.iter().copied().min_by_key(space_of)
            }
            Fit::AtOrAfter(point) => free.iter().find(|block| block.first() >= point).or(free.first()).copied(),
        }
    }

    fn largest_free(&self) -> Option<Cidr> {
        (self.space.length()..=self.space.family().bits())
            .find_map(|length| self.blocks_of(length).into_iter().find(|block| self.is_free(*block)))
    }

    fn free_addresses(&self) -> u64 {
        let bits = self.space.family().bits();
        self.blocks_of(bits).into_iter().filter(|address| self.is_free(*address)).map(|_| 1).sum()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Hold(Cidr),
    Release(usize),
    Block(Cidr),
    Unblock(usize),
    Find(u8, Fit, Option<Cidr>),
    FindAndHold(u8, Fit, Option<Cidr>),
}

/// Blocks in, around and beside a space, small ones more often.
fn some_block(space: Cidr) -> impl Strategy<Value = Cidr> + Clone {
    let (family, bits) = (space.family(), space.family().bits());
    let shortest = space.length();
    let inside = (any::<u128>(), shortest..=bits).prop_map(move |(random, length)| {
        let host = if shortest == 0 { u128::MAX } else { (1u128 << (bits - shortest)) - 1 };
        let host = if bits == 32 { host & u128::from(u32::MAX) } else { host };
        Cidr::containing(family, space.first() | random & host, length)
    });
    let around = (0..=shortest).prop_map(move |length| space.widened_to(length).expect("not longer"));
    let outside = Just(Cidr::containing(family, space.last() ^ (1 << (bits - shortest.max(1))), shortest.max(1)));
    prop_oneof![12 => inside, 1 => around, 1 => outside, 1 => Just(cidr("::/0")), 1 => Just(cidr("0.0.0.0/0"))]
}

fn some_step(space: Cidr) -> impl Strategy<Value = Step> {
    let bits = space.family().bits();
    let length = space.length().saturating_sub(1)..=bits;
    let point = prop_oneof![
        4 => any::<u8>().prop_map(move |n| space.first().saturating_add(u128::from(n))),
        1 => any::<u128>(),
    ];
    let fit = prop_oneof![Just(Fit::First), Just(Fit::Best), point.prop_map(Fit::AtOrAfter)];
    let find = (length, fit, prop::option::of(some_block(space)));
    prop_oneof![
        3 => some_block(space).prop_map(Step::Hold),
        3 => any::<usize>().prop_map(Step::Release),
        2 => some_block(space).prop_map(Step::Block),
        2 => any::<usize>().prop_map(Step::Unblock),
        3 => find.clone().prop_map(|(length, fit, within)| Step::Find(length, fit, within)),
        4 => find.prop_map(|(length, fit, within)| Step::FindAndHold(length, fit, within)),
    ]
}

fn run(space: Cidr, steps: Vec<Step>, asked: &[Cidr]) -> Result<(), TestCaseError> {
    let mut index = Space::new(space);
    let mut naive = Naive { space, held: BTreeMap::new(), seen: Vec::new() };
    for (number, step) in steps.into_iter().enumerate() {
        let slot = Slot(u32::try_from(number).expect("few steps"));
        let hold = |index: &mut Space, naive: &mut Naive, cidr: Cidr| {
            let fits = space.contains(cidr) && !naive.held.keys().any(|other| other.overlaps(cidr));
            if fits {
                index.hold(cidr, slot);
                naive.held.insert(cidr, slot);
            }
        };
        match step {
            Step::Hold(cidr) => hold(&mut index, &mut naive, cidr),
            Step::Release(n) if !naive.held.is_empty() => {
                let (cidr, slot) =
                    naive.held.iter().nth(n % naive.held.len()).map(|(c, s)| (*c, *s)).expect("in range");
                prop_assert_eq!(index.release(cidr), Some(slot));
                naive.held.remove(&cidr);
                prop_assert_eq!(index.release(cidr), None);
            }
            Step::Block(cidr) => {
                index.block(cidr);
                naive.seen.push(cidr);
            }
            Step::Unblock(n) if !naive.seen.is_empty() => {
                let cidr = naive.seen.swap_remove(n % naive.seen.len());
                index.unblock(cidr);
            }
            Step::Release(_) | Step::Unblock(_) => {}
            Step::Find(length, fit, within) => {
                prop_assert_eq!(
                    index.find(length, fit, within),
                    naive.find(length, fit, within),
                    "/{} {:?} within {:?} of {:?}",
                    length,
                    fit,
                    within,
                    naive
                );
            }
            Step::FindAndHold(length, fit, within) => {
                let found = index.find(length, fit, within);
                prop_assert_eq!(
                    found,
                    naive.find(length, fit, within),
                    "/{} {:?} within {:?} of {:?}",
                    length,
                    fit,
                    within,
                    naive
                );
                if let Some(cidr) = found {
                    hold(&mut index, &mut naive, cidr);
                }
            }
        }
        prop_assert_eq!(index.held_count(), naive.held.len() as u64);
        let held: AddressCount = naive.held.keys().map(|cidr| cidr.count()).sum();
        prop_assert_eq!(index.held_addresses(), held);
        if space.family().bits() - space.length() <= 8 {
            prop_assert_eq!(index.largest_free(), naive.largest_free(), "{:?}", naive);
            prop_assert_eq!(index.free_addresses(), AddressCount::from(naive.free_addresses()), "{:?}", naive);
        }
    }
    for cidr in asked {
        let expect: Vec<_> = naive.held.iter().filter(|(c, _)| c.overlaps(*cidr)).map(|(c, s)| (*c, *s)).collect();
        prop_assert_eq!(index.holders_overlapping(*cidr).collect::<Vec<_>>(), expect.clone());
        prop_assert_eq!(index.is_held(*cidr), !expect.is_empty());
        prop_assert_eq!(index.holder(*cidr), naive.held.get(cidr).copied());
        prop_assert_eq!(index.is_free(*cidr), naive.is_free(*cidr));
        let around = naive.is_free(*cidr).then(|| naive.largest_around(*cidr));
        prop_assert_eq!(index.free_around(*cidr), around);
    }
    // Taking everything back leaves nothing behind.
    for cidr in naive.held.keys() {
        index.release(*cidr);
    }
    for cidr in &naive.seen {
        index.unblock(*cidr);
    }
    prop_assert_eq!(index.heap_bytes(), 0);
    prop_assert_eq!(index.free_addresses(), space.count());
    prop_assert_eq!(index.find(space.length(), Fit::First, None), Some(space));
    Ok(())
}

fn some_run(text: &'static str) -> impl Strategy<Value = (Cidr, Vec<Step>, Vec<Cidr>)> {
    let space = cidr(text);
    (Just(space), prop::collection::vec(some_step(space), 1..60), prop::collection::vec(some_block(space), 1..20))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_brute_force(
        (space, steps, asked) in prop_oneof![
            4 => some_run("10.0.0.0/24"),
            4 => some_run("2001:db8::ff00/120"),
            1 => some_run("255.255.255.0/24"),
            1 => some_run("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ff00/120"),
            1 => some_run("0.0.0.0/29"),
            1 => some_run("::/125"),
            1 => some_run("192.0.2.1/32"),
            1 => some_run("2001:db8::1/128"),
        ],
    ) {
        run(space, steps, &asked)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// The whole address space of a family, with blocks of at most the first 8 bits: brute force stays possible.
    #[test]
    fn agrees_with_brute_force_on_whole_families(
        ipv4 in any::<bool>(),
        steps in prop::collection::vec((0..4u8, any::<u8>(), 0..=8u8, 0..3u8), 1..60),
    ) {
        let family = if ipv4 { Family::Ipv4 } else { Family::Ipv6 };
        let space = Cidr::containing(family, 0, 0);
        let block = |n: u8, length: u8| Cidr::containing(family, u128::from(n) << (family.bits() - 8), length);
        let mut index = Space::new(space);
        let mut naive = Naive { space, held: BTreeMap::new(), seen: Vec::new() };
        for (number, (what, n, length, fit)) in (0..).zip(steps) {
            match what {
                0 => {
                    index.block(block(n, length));
                    naive.seen.push(block(n, length));
                }
                1 if !naive.seen.is_empty() => {
                    let cidr = naive.seen.swap_remove(usize::from(n) % naive.seen.len());
                    index.unblock(cidr);
                }
                1 => {}
                2 if naive.held.len() > 1 => {
                    let cidr = *naive.held.keys().nth(usize::from(n) % naive.held.len()).expect("in range");
                    prop_assert_eq!(index.release(cidr), naive.held.remove(&cidr));
                }
                _ => {
                    let fit = [Fit::First, Fit::Best, Fit::AtOrAfter(block(n, 8).first())][usize::from(fit)];
                    let found = index.find(length, fit, None);
                    prop_assert_eq!(found, naive.find(length, fit, None), "/{} {:?} {:?}", length, fit, naive);
                    if let Some(cidr) = found {
                        index.hold(cidr, Slot(number));
                        naive.held.insert(cidr, Slot(number));
                    }
                }
            }
            let free = naive.blocks_of(8).into_iter().filter(|block| naive.is_free(*block));
            prop_assert_eq!(index.free_addresses(), free.map(Cidr::count).sum::<AddressCount>());
        }
    }
}

#[test]
fn the_edges_of_both_families() {
    for text in ["0.0.0.0/0", "::/0", "255.255.255.255/32", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"] {
        let all = cidr(text);
        let bits = all.family().bits();
        let mut space = Space::new(all);
        assert_eq!(space.find(bits, Fit::First, None), Some(Cidr::containing(all.family(), all.first(), bits)));
        assert_eq!(
            space.find(bits, Fit::AtOrAfter(u128::MAX), None),
            Some(Cidr::containing(all.family(), if bits == 128 { all.last() } else { all.first() }, bits)),
        );
        assert_eq!(space.largest_free(), Some(all));
        assert_eq!(space.free_around(all), Some(all));
        space.hold(all, Slot(u32::MAX));
        assert_eq!(space.holder(all), Some(Slot(u32::MAX)));
        assert!(space.heap_bytes() > 0);
        assert_eq!((space.find(bits, Fit::Best, None), space.largest_free()), (None, None));
        assert_eq!((space.free_addresses(), space.held_addresses()), (AddressCount::ZERO, all.count()));
        assert_eq!(space.release(all), Some(Slot(u32::MAX)));
        assert_eq!(space.free_addresses(), all.count());
    }
}

#[test]
fn best_fit_fills_the_smallest_hole() {
    let mut space = Space::new(cidr("10.0.0.0/24"));
    space.hold(cidr("10.0.0.64/26"), Slot(1));
    space.hold(cidr("10.0.0.128/27"), Slot(2));
    assert_eq!(space.find(28, Fit::First, None), Some(cidr("10.0.0.0/28")));
    assert_eq!(space.find(28, Fit::Best, None), Some(cidr("10.0.0.160/28")));
    assert_eq!(space.find(26, Fit::Best, None), Some(cidr("10.0.0.0/26")));
    assert_eq!(space.find(28, Fit::First, Some(cidr("10.0.0.128/25"))), Some(cidr("10.0.0.160/28")));
    assert_eq!(space.find(28, Fit::AtOrAfter(cidr("10.0.0.17/32").first()), None), Some(cidr("10.0.0.32/28")));
    assert_eq!(space.find(25, Fit::First, None), None);
    assert_eq!(space.find(28, Fit::First, Some(cidr("10.0.0.64/28"))), None);
    assert_eq!(space.find(28, Fit::First, Some(cidr("10.0.0.0/29"))), None);
    assert_eq!(space.find(28, Fit::First, Some(cidr("10.1.0.0/24"))), None);
}

#[test]
#[should_panic(expected = "holders share no address")]
fn inv_c3_a_second_holder_above_observed_blocks_is_a_defect() {
    let mut space = Space::new(cidr("10.0.0.0/24"));
    space.block(cidr("10.0.0.0/25"));
    space.hold(cidr("10.0.0.0/26"), Slot(1));
    space.hold(cidr("10.0.0.0/24"), Slot(2));
}

#[test]
#[should_panic(expected = "holders share no address")]
fn inv_c3_a_second_holder_inside_is_a_defect() {
    let mut space = Space::new(cidr("10.0.0.0/24"));
    space.hold(cidr("10.0.0.0/25"), Slot(1));
    space.hold(cidr("10.0.0.0/26"), Slot(2));
}
