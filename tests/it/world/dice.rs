//! Random numbers from a seed, so that a failed test can be repeated.

use std::time::{SystemTime, UNIX_EPOCH};

/// Numbers that a seed decides: splitmix64, as Steele, Lea and Flood describe it.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice that roll the same numbers for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Other dice for the same seed, one for each place.
    pub fn other(&self, place: u64) -> Self {
        Self(self.0.wrapping_add(place.wrapping_mul(0xd134_2543_de82_ef95)))
    }

    /// A number from 0 on, below `sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}

/// The seed that `SYNCLINE_TEST_SEED` sets, or one of the clock's.
pub fn seed() -> u64 {
    let set = std::env::var("SYNCLINE_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").subsec_nanos();
    set.unwrap_or_else(|| u64::from(now()))
}

/// Says whether `SYNCLINE_TEST_LONG` asks for each case of a test, and not for those alone
/// that the seed decides.
pub fn is_long() -> bool {
    std::env::var_os("SYNCLINE_TEST_LONG").is_some()
}
