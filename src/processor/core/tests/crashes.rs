//! Crashes at every effect: nothing is lost, nothing is doubled, nothing slips through.

use super::*;

/// The command topic of partition 0: ours, misrouted, unreadable, doubled, two organisations.
fn topic() -> Vec<SourceRecord> {
    vec![
        sourced(0, "o-a0", 1, "x"),
        sourced(1, "o-a1", 2, "x"),
        sourced(2, "o-a0", 3, "y"),
        sourced(3, "o-a0", 1, "x"),
        SourceRecord { value: b"?".to_vec(), ..sourced(4, "o-a0", 9, "x") },
        sourced(5, "o-b0", 4, "no"),
        sourced(6, "o-a1", 5, "x"),
        sourced(7, "o-b0", 6, "x"),
        sourced(8, "o-b0", 6, "x"),
    ]
}

/// What the world keeps while writers come and go.
#[derive(Default)]
struct World {
    ledger: Ledger,
    letters: Vec<Letter>,
    /// Effects and landings until the crash.
    left: usize,
}

struct Crash;

impl World {
    fn tick(&mut self) -> Result<(), Crash> {
        self.left = self.left.checked_sub(1).ok_or(Crash)?;
        Ok(())
    }

    /// Carries out one step's effects; a crash leaves the first `landed` records of the current append in the log.
    fn carry_out(&mut self, node: &mut Node, input: Input, landed: usize) -> Result<Option<SourceOffset>, Crash> {
        let mut resume = None;
        for effect in node.core.step(input) {
            match effect {
                Effect::Send(letters) => {
                    self.tick()?;
                    self.letters.extend(letters);
                    self.tick()?;
                }
                Effect::Append(records) => {
                    let all = records.len();
                    let count = if self.tick().is_ok() { all } else { landed.min(all) };
                    records.iter().take(count).for_each(|record| self.ledger.land(at(0), record));
                    if count < all || self.left == 0 {
                        return Err(Crash);
                    }
                }
                Effect::OpenSource { from } => resume = from,
                Effect::End(end) => panic!("{end}"),
                _ => {}
            }
        }
        Ok(resume)
    }

    /// One incarnation, from the take-over to the end of the topic in batches of `batch`.
    fn incarnation(&mut self, writer: u128, batch: usize, landed: usize) -> Result<(), Crash> {
        let mut node = Node::new(writer);
        let mut resume = None;
        let claim = Input::Claim { now: at(0), writer: Uuid::from_u128(writer), random: 0 };
        for input in [Input::Read { now: at(0), records: self.ledger.records.clone() }, claim] {
            self.carry_out(&mut node, input, landed)?;
        }
        let unread = |node: &Node, ledger: &Ledger| {
            let from = usize::try_from(node.core.position().0).expect("small");
            Input::Read { now: at(0), records: ledger.records[from..].to_vec() }
        };
        let input = unread(&node, &self.ledger);
        resume = self.carry_out(&mut node, input, landed)?.or(resume);
        let rest: Vec<_> = topic().into_iter().filter(|r| resume.is_none_or(|resume| r.offset >= resume)).collect();
        for records in rest.chunks(batch) {
            let records = records.iter().cloned().map(Into::into).collect();
            self.carry_out(&mut node, Input::Sourced { now: at(0), records }, landed)?;
            let input = unread(&node, &self.ledger);
            self.carry_out(&mut node, input, landed)?;
        }
        assert_eq!(node.core.in_flight(), 0);
        Ok(())
    }
}

#[test]
fn a_crash_anywhere_loses_nothing_and_doubles_nothing() {
    let mut runs = 0;
    for batch in [1, 3, 20] {
        for landed in 0..3 {
            for (first, second) in (0..40).flat_map(|first| (0..40).step_by(3).map(move |second| (first, second))) {
                let mut world = World { left: first, ..World::default() };
                if world.incarnation(1, batch, landed).is_err() {
                    world.left = second;
                    if world.incarnation(2, batch, landed).is_err() {
                        world.left = usize::MAX;
                        assert!(world.incarnation(3, batch, landed).is_ok());
                    }
                }
                check(&world, &format!("crashes after {first} and {second}, batch {batch}, landed {landed}"));
                runs += 1;
            }
        }
    }
    assert_eq!(runs, 3 * 3 * 40 * 14);
}

fn check(world: &World, run: &str) {
    let mut ids: Vec<_> = world.ledger.outcomes().iter().map(|outcome| outcome.command_id).collect();
    ids.sort_unstable();
    assert_eq!(ids, [1, 3, 4, 6].map(id), "{run}");
    for offset in [1, 6] {
        let value = &topic()[offset].value;
        let forwarded = |letter: &Letter| matches!(letter, Letter::Forward { value: sent, .. } if sent == value);
        assert!(world.letters.iter().any(forwarded), "{run}: command {offset} slipped through");
    }
    let dead = |letter: &Letter| matches!(letter, Letter::Dead { offset: SourceOffset(4), .. });
    assert!(world.letters.iter().any(dead), "{run}: the unreadable one slipped through");
    let mut admission = Admission::default();
    for record in &world.ledger.records {
        admission.admit(record);
    }
    assert_eq!(admission.source, Some(SourceOffset(8)), "{run}");
}
