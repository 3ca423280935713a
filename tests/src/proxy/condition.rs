//! What befalls the bytes on one directed link.

use std::time::Duration;

/// What happens to what one node says to another; nothing, by default.
#[must_use]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Condition {
    passage: Passage,
    pub(super) delay: Duration,
    pub(super) jitter: Duration,
    pub(super) bytes_per_s: Option<u32>,
    pub(super) flip_one_in: Option<u32>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Passage {
    #[default]
    Open,
    Stalled,
    Cut,
    Mute,
    HalfOpen,
}

/// Which half of a connection a byte belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// From who dialled.
    Request,
    /// From who was dialled.
    Answer,
}

impl Condition {
    /// Everything is lost.
    pub fn cut() -> Self {
        Self { passage: Passage::Cut, ..Self::default() }
    }

    /// Nothing passes, and nothing is lost: it goes on later.
    pub fn stalled() -> Self {
        Self { passage: Passage::Stalled, ..Self::default() }
    }

    /// Requests pass; answers are lost.
    pub fn mute() -> Self {
        Self { passage: Passage::Mute, ..Self::default() }
    }

    /// Connections are accepted, and what is asked on them never arrives.
    pub fn half_open() -> Self {
        Self { passage: Passage::HalfOpen, ..Self::default() }
    }

    /// Every byte takes so long.
    pub fn slow(delay: Duration) -> Self {
        Self { delay, ..Self::default() }
    }

    /// At most so many bytes a second pass.
    pub fn narrow(bytes_per_s: u32) -> Self {
        Self { bytes_per_s: Some(bytes_per_s), ..Self::default() }
    }

    /// A bit is flipped in about one of so many bytes.
    pub fn corrupting(one_in: u32) -> Self {
        Self { flip_one_in: Some(one_in), ..Self::default() }
    }

    /// Up to so much is added to the delay, differently each time.
    pub fn with_jitter(self, jitter: Duration) -> Self {
        Self { jitter, ..self }
    }

    /// Whether bytes of this half are lost.
    pub(super) fn loses(&self, role: Role) -> bool {
        match self.passage {
            Passage::Open | Passage::Stalled => false,
            Passage::Cut => true,
            Passage::Mute => role == Role::Answer,
            Passage::HalfOpen => role == Role::Request,
        }
    }

    /// Whether bytes wait for better times.
    pub(super) fn is_stalled(&self) -> bool {
        self.passage == Passage::Stalled
    }

    /// Whether nothing of this half arrives now.
    pub(super) fn keeps(&self, role: Role) -> bool {
        self.is_stalled() || self.loses(role)
    }
}
