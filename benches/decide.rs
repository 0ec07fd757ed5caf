//! What deciding and folding one `AllocateCidr` costs, and what a held allocation takes of the writer's memory.
//!
//! Each command asks for the next free block of a length, for a VPC with region, account and two tags, with a
//! description of 17 characters and two tags of its own. A pool is filled to 10,000 and to 1,000,000 allocations; the last
//! ones are measured, in time on the processor. Releases of random allocations are measured apart: they miss the
//! cache. Every measurement is a process of its own, so that what it has grown by is its state's.
//!
//! `CARGO_PROFILE_DEV_OPT_LEVEL=3 cargo bench --profile dev --bench decide`

#![allow(clippy::cast_precision_loss, clippy::indexing_slicing, reason = "figures for people, of cases listed here")]

use cpu_time::ThreadTime;
use ipam_ledger::domain::command::{
    AllocateCidr, Command, CommandBody, CreateIpam, CreatePool, Principal, Proof, ProvisionPoolCidr, ReleaseAllocation,
    ResourceClaim, Tags,
};
use ipam_ledger::domain::digest::Digest;
use ipam_ledger::domain::event::Event;
use ipam_ledger::domain::id::{AccountId, AllocationId, PoolId, Region};
use ipam_ledger::domain::kind::ResourceKind;
use ipam_ledger::domain::outcome::Moment;
use ipam_ledger::domain::time::Timestamp;
use ipam_ledger::domain::{Context, State, advance, decide};
use uuid::Uuid;

/// How many commands one measurement averages.
const MEASURED: usize = 5_000;
/// The fastest of so many counts: the machine is shared.
const ROUNDS: usize = 7;
const START_MICROS: i64 = 1_700_000_000_000_000;

struct Ledger {
    state: State,
    account: AccountId,
    region: Region,
    pool: PoolId,
    commands: u64,
}

impl Ledger {
    /// A lone account with one pool.
    fn new(space: &str) -> Self {
        let account: AccountId = "123456789012".parse().expect("an account");
        let region: Region = "eu-central-1".parse().expect("a region");
        let pool: PoolId = "ipam-pool-00000000000000000".parse().expect("an id");
        let mut ledger = Self { state: State::new(account.into()), account, region: region.clone(), pool, commands: 0 };
        let ipam = ledger.run(CreateIpam {
            home_region: region.clone(),
            operating_regions: Vec::new(),
            description: None,
            name: None,
            tags: Tags::new(),
        });
        let [Event::IpamCreated(ipam)] = ipam.as_slice() else { panic!("no IPAM") };
        let cidr: ipam_ledger::address::Cidr = space.parse().expect("a CIDR");
        let pool = ledger.run(CreatePool {
            scope: Some(ipam.private_default_scope),
            address_family: Some(cidr.family()),
            locale: Some(region),
            ..CreatePool::default()
        });
        let [Event::PoolCreated(pool)] = pool.as_slice() else { panic!("no pool") };
        ledger.pool = pool.pool;
        ledger.run(ProvisionPoolCidr { pool: pool.pool, cidr: Some(cidr), netmask_length: None });
        ledger
    }

    fn command(&mut self, body: impl Into<CommandBody>) -> Command {
        self.commands += 1;
        Command {
            id: Uuid::from_u128(u128::from(self.commands)),
            organization: self.state.id().clone(),
            principal: Principal { account: self.account, name: None, proof: Proof::None },
            if_revision: None,
            reason: None,
            digest: Digest::of(b""),
            body: body.into(),
        }
    }

    fn allocate(&mut self, length: u8) -> Command {
        let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        self.command(AllocateCidr {
            pool: self.pool,
            cidr: None,
            netmask_length: Some(length),
            allowed_cidrs: Vec::new(),
            disallowed_cidrs: Vec::new(),
            description: Some("payments, staging".to_owned()),
            tags: Tags::from([tag("env", "staging"), tag("team", "payments")]),
            resource: Some(ResourceClaim {
                kind: ResourceKind::Vpc,
                id: format!("vpc-{:017x}", self.commands),
                region: Some(self.region.clone()),
                account: Some(self.account),
                tags: Tags::new(),
            }),
        })
    }

    fn release(&mut self, allocation: AllocationId) -> Command {
        self.command(ReleaseAllocation { allocation, pool: None, cidr: None, force: false })
    }

    /// What the writer does with a command, log and records aside.
    fn step(&mut self, command: &Command) -> Vec<Event> {
        let revision = self.state.moment().revision.next();
        let micros = START_MICROS + i64::try_from(revision.0).expect("few revisions");
        let decided_at = Timestamp::from_micros(micros);
        let events = decide(&self.state, command, &Context { decided_at }).expect("the benchmark's commands are good");
        advance(&mut self.state, Moment { revision, decided_at }, &events);
        events
    }

    fn run(&mut self, body: impl Into<CommandBody>) -> Vec<Event> {
        let command = self.command(body);
        self.step(&command)
    }

    /// Runs commands made beforehand; what they gave and how long each took, in nanoseconds.
    fn timed(&mut self, commands: &[Command]) -> (Vec<AllocationId>, f64) {
        let mut allocations = Vec::with_capacity(commands.len());
        let start = ThreadTime::now();
        for command in commands {
            if let [Event::CidrAllocated(allocated)] = self.step(command).as_slice() {
                allocations.push(allocated.allocation);
            }
        }
        (allocations, start.elapsed().as_nanos() as f64 / commands.len() as f64)
    }
}

struct Measured {
    allocate_ns: f64,
    release_ns: f64,
    bytes_each: Option<u64>,
}

fn measure(space: &str, length: u8, held: usize) -> Measured {
    let mut ledger = Ledger::new(space);
    let before = resident_bytes();
    let mut allocations = Vec::with_capacity(held);
    for _ in 0..held - MEASURED {
        let command = ledger.allocate(length);
        let (given, _) = ledger.timed(&[command]);
        allocations.extend(given);
    }
    let (mut allocate_ns, mut release_ns) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..ROUNDS {
        let commands: Vec<_> = (0..MEASURED).map(|_| ledger.allocate(length)).collect();
        let (given, ns) = ledger.timed(&commands);
        allocate_ns = allocate_ns.min(ns);
        for allocation in given {
            let command = ledger.release(allocation);
            ledger.step(&command);
        }
    }
    let grown = before.zip(resident_bytes()).map(|(before, after)| after.saturating_sub(before));
    let kept = 16 * allocations.capacity() as u64;
    let bytes_each = grown.map(|grown| grown.saturating_sub(kept) / held as u64);
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..ROUNDS {
        let mut commands = Vec::new();
        for _ in 0..MEASURED / 10 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let victim = usize::try_from(random % allocations.len() as u64).expect("an index");
            let victim = allocations.swap_remove(victim);
            commands.push(ledger.release(victim));
        }
        release_ns = release_ns.min(ledger.timed(&commands).1);
    }
    Measured { allocate_ns, release_ns, bytes_each }
}

/// What the kernel has given this process, allocator's slack included.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}

const CASES: [(&str, u8); 2] = [("10.0.0.0/8", 28), ("2001:db8::/32", 64)];
const SIZES: [usize; 2] = [10_000, 1_000_000];

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [case, size] = arguments.as_slice()
        && let (Ok(case), Ok(size)) = (case.parse::<usize>(), size.parse::<usize>())
    {
        let (space, length) = CASES[case];
        let Measured { allocate_ns, release_ns, bytes_each } = measure(space, length, size);
        println!("{allocate_ns} {release_ns} {}", bytes_each.unwrap_or_default());
        return;
    }
    println!("decide + apply of AllocateCidr, one core; memory of the state by what the process has grown");
    for (case, (space, length)) in CASES.iter().enumerate() {
        let costs = SIZES.map(|size| {
            let [allocate_ns, release_ns, bytes] = in_own_process(case, size);
            println!(
                "/{length} of {space}, {size} held: allocate {allocate_ns:.0} ns ({:.0}/s), release at random \
                 {release_ns:.0} ns, {bytes} bytes per allocation",
                1e9 / allocate_ns
            );
            allocate_ns
        });
        println!("/{length}: the largest cost {:.2} x as much as the smallest", costs[1] / costs[0]);
    }
}

fn in_own_process(case: usize, size: usize) -> [f64; 3] {
    let program = std::env::current_exe().expect("this program");
    let output = std::process::Command::new(program).args([case.to_string(), size.to_string()]).output();
    let output = String::from_utf8(output.expect("this program runs").stdout).expect("numbers");
    let mut figures = output.split_whitespace().map(|figure| figure.parse().expect("a number"));
    [(); 3].map(|()| figures.next().expect("three figures"))
}
