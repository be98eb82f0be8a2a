//! The windows of the rate limits. A window begins with the first call after the one before has
//! ended, and counts until its end: what is left only falls until then.

use crate::demo::clock::Millis;

/// The length of a window.
pub const MINUTE: Millis = 60_000;

/// A window that counts calls.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    limit: u32,
    penalty: Millis,
    used: u32,
    ends: Millis,
    is_exceeded: bool,
}

impl Window {
    /// Makes a window that admits so many calls a minute. The first call beyond them lengthens it
    /// by the penalty.
    pub fn new(limit: u32, penalty: Millis) -> Self {
        Self { limit, penalty, used: 0, ends: 0, is_exceeded: false }
    }

    /// Counts calls. If the window has no place for all of them, the result is the time until its
    /// end.
    pub fn take(&mut self, calls: u32, now: Millis) -> Result<(), Millis> {
        if now >= self.ends {
            *self = Self { used: 0, ends: now + MINUTE, is_exceeded: false, ..*self };
        }
        if self.used + calls <= self.limit {
            self.used += calls;
            return Ok(());
        }
        if !self.is_exceeded {
            self.is_exceeded = true;
            self.ends += self.penalty;
        }
        Err(self.ends - now)
    }

    /// The calls that are left in the window.
    pub fn remaining(&self) -> u32 {
        self.limit - self.used
    }

    /// The most calls.
    pub fn limit(&self) -> u32 {
        self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_only_falls_until_the_window_ends() {
        let mut window = Window::new(3, 0);
        assert_eq!(window.take(1, 1000), Ok(()));
        assert_eq!(window.take(1, 50_000), Ok(()));
        assert_eq!((window.take(1, 60_999), window.remaining()), (Ok(()), 0));
        assert_eq!(window.take(1, 60_999), Err(1));
        assert_eq!((window.take(1, 61_000), window.remaining()), (Ok(()), 2));
    }

    #[test]
    fn a_penalty_lengthens_the_window_once() {
        let mut window = Window::new(1, 59_000);
        window.take(1, 0).unwrap();
        assert_eq!(window.take(1, 0), Err(119_000));
        assert_eq!(window.take(1, 1000), Err(118_000));
        assert_eq!(window.take(1, 119_000), Ok(()));
    }
}
