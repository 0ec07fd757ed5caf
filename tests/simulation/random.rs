//! The dice: one stream of numbers for every step, made of the seed and the step's number alone, so that leaving a step
//! out changes no other step's numbers.

/// `splitmix64`.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The numbers of a whole run, for what is drawn before its first step.
    pub fn of_run(seed: u64) -> Self {
        Self(mix(seed ^ 0x5eed))
    }

    /// The numbers of one step.
    pub fn of_step(seed: u64, step: u64) -> Self {
        Self(mix(seed.wrapping_add(mix(step.wrapping_add(1)))))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Below `n`; 0 when `n` is.
    pub fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % (n.max(1) as u64)).expect("below a usize")
    }

    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        let width = high.abs_diff(low) + 1;
        low + i64::try_from(self.next() % width).expect("a small range")
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn per_mille(&mut self, rate: u32) -> bool {
        self.next() % 1_000 < u64::from(rate)
    }

    pub fn of<'a, T>(&mut self, options: &'a [T]) -> Option<&'a T> {
        let n = self.below(options.len());
        options.get(n)
    }

    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.next().to_le_bytes()[0])
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
