//! Histories of a forger who can hash: the chain is whole, and what it says is no outcome of correct decisions.

use super::{audit, encoded, history, numbered, only, rechain};
use crate::address::Cidr;
use crate::audit::report::Kind;
use crate::domain::command::ResourceClaim;
use crate::domain::event::{AdminDelegated, Event};
use crate::domain::kind::ResourceKind;
use crate::domain::outcome::{Decision, Outcome};

type Forge<'a> = &'a dyn Fn(&mut Event);

fn cidr(text: &str) -> Cidr {
    text.parse().expect("a CIDR")
}

#[test]
fn each_invariant_is_found_broken_where_it_breaks() {
    let claim = |region: Option<&str>| ResourceClaim {
        kind: ResourceKind::Vpc,
        id: "vpc-1".to_owned(),
        region: region.map(|region| region.parse().expect("a region")),
        account: None,
        tags: crate::domain::command::Tags::new(),
    };
    // The outcome, its first event as `decide` never makes it there, the invariant that this breaks.
    let forged: &[(usize, Forge<'_>, &str)] = &[
        (0, &|event| edit(event, |Ipam(ipam)| ipam.operating_regions.clear()), "INV-I2"),
        (0, &|event| edit(event, |Ipam(ipam)| ipam.owner = "000000000009".parse().expect("an account")), "INV-O2"),
        (0, &|event| edit(event, |Ipam(ipam)| ipam.public_default_scope = ipam.private_default_scope), "INV-I4"),
        (1, &|event| edit(event, |Pool(pool)| pool.allocation_min_netmask_length = Some(33)), "INV-P6"),
        (3, &|event| edit(event, |Pool(pool)| pool.address_family = crate::address::Family::Ipv6), "INV-P1"),
        (4, &|event| edit(event, |Space(space)| space.cidr = cidr("192.0.2.0/24")), "INV-A1"),
        (4, &|event| edit(event, |Space(space)| space.source_allocation = None), "INV-C3"),
        (4, &|event| edit(event, |Space(space)| space.cidr = cidr("2001:db8::/32")), "INV-P1"),
        (6, &|event| edit(event, |Block(block)| block.cidr = cidr("10.0.0.0/24")), "INV-A1"),
        (6, &|event| edit(event, |Block(block)| block.cidr = cidr("192.0.2.0/24")), "INV-A1"),
        (6, &|event| edit(event, |Block(block)| block.resource = Some(claim(None))), "INV-P3"),
        (7, &|event| edit(event, |Block(block)| block.cidr = cidr("10.0.0.0/20")), "INV-A1"),
        (8, &|event| edit(event, |Freed(freed)| freed.cidr = cidr("10.0.1.0/26")), "INV-R7"),
        (10, &|event| edit(event, |Gone(gone)| gone.closed.iter_mut().for_each(|one| one.allocations += 1)), "INV-P14"),
        (
            11,
            &|event| *event = AdminDelegated { account: "000000000001".parse().expect("an account") }.into(),
            "INV-O1",
        ),
    ];
    for (index, change, invariant) in forged {
        let mut outcomes = history();
        let Decision::Accepted(events) = &mut outcomes[*index].decision else { panic!("{index} is rejected") };
        change(&mut events[0]);
        rechain(&mut outcomes);
        let report = audit(&numbered(&encoded(&outcomes)));
        let (kind, found, finding) = only(&report);
        assert_eq!((kind, found), (Kind::Wrong, *index as u64), "{invariant}: {finding}");
        assert!(finding.problem.starts_with(&format!("{invariant} is broken")), "{invariant}: {finding}");
    }
}

#[test]
fn time_that_stands_still_and_commands_decided_twice_are_found() {
    let mut late = history();
    late[5].decided_at = late[4].decided_at;
    rechain(&mut late);
    let report = audit(&numbered(&encoded(&late)));
    let (kind, index, finding) = only(&report);
    assert_eq!((kind, index), (Kind::Wrong, 5));
    assert!(finding.problem.contains("not after"), "{finding}");

    let mut twice = history();
    twice[9].command_id = twice[5].command_id;
    rechain(&mut twice);
    let report = audit(&numbered(&encoded(&twice)));
    let (kind, index, finding) = only(&report);
    assert_eq!((kind, index), (Kind::Doubled, 9));
    assert!(finding.problem.contains("revision 6 decided"), "{finding}");
}

#[test]
fn what_no_fold_accepts_is_a_finding_and_no_crash() {
    let mut outcomes = history();
    // A tag on an allocation that never was: no invariant of space speaks of it.
    let tagged = crate::domain::event::ResourceTagged {
        resource: "ipam-pool-0123456789abcdef0".parse().expect("an id"),
        tags: crate::domain::command::Tags::from([("a".to_owned(), "b".to_owned())]),
    };
    outcomes[11].decision = Decision::Accepted(vec![tagged.into()]);
    rechain(&mut outcomes);
    let report = audit(&numbered(&encoded(&outcomes)));
    let (kind, index, finding) = only(&report);
    assert_eq!((kind, index), (Kind::Wrong, 11));
    assert!(finding.problem.contains("the fold does not accept it"), "{finding}");
}

/// An event of one type, to be edited.
trait Editable<'a>: Sized {
    fn of(event: &'a mut Event) -> Option<Self>;
}

macro_rules! editable {
    ($($name:ident($variant:ident)),*) => {
        $(struct $name<'a>(&'a mut crate::domain::event::$variant);
        impl<'a> Editable<'a> for $name<'a> {
            fn of(event: &'a mut Event) -> Option<Self> {
                if let Event::$variant(event) = event { Some(Self(event)) } else { None }
            }
        })*
    };
}
editable!(
    Ipam(IpamCreated),
    Pool(PoolCreated),
    Space(PoolCidrProvisioned),
    Block(CidrAllocated),
    Freed(AllocationReleased),
    Gone(PoolDeleted)
);

fn edit<'a, T: Editable<'a>>(event: &'a mut Event, change: impl FnOnce(T)) {
    change(T::of(event).expect("the outcome has that event"));
}

/// That a changed history is found at all must not rest on the hashes alone.
#[test]
fn a_whole_chain_alone_is_not_enough() {
    let mut outcomes = history();
    rechain(&mut outcomes);
    assert_eq!(outcomes, history(), "chaining again changes nothing");
    assert_eq!(audit(&numbered(&encoded(&outcomes))).findings, []);
    let accepted = |outcome: &Outcome| !outcome.events().is_empty();
    assert!(outcomes.iter().filter(|outcome| accepted(outcome)).count() > 10);
}
