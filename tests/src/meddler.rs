//! Frames of the internode protocol, passed on twice or out of order.
//!
//! A connection keeps order and doubles nothing, so what a network of datagrams may do to messages
//! is done here, between two frames: a frame is passed on, passed on twice, or held until the next
//! one has passed. The first frame of a direction is the greeting and is left alone. Every message
//! behind it carries the number of its request, so all of them may legally come so.
//!
//! ```text
//! [length u32 big endian][length bytes]        in: 1 2 3 4        out: 1 3 2 4 3
//! ```
//!
//! Law: of every frame at least one copy is passed on, at the latest behind the next one that is
//! not held, or when whoever calls has waited long enough. Pure: the caller decides what happens to a
//! frame.

/// How many frames are held at most.
const HELD_MAX: usize = 8;

/// What happens to a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meddling {
    /// It is passed on.
    Pass,
    /// It is passed on, and once more behind the next one.
    Repeat,
    /// It is passed on behind the next one.
    Hold,
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub struct Meddler {
    /// The beginning of a frame whose end has not come yet.
    partial: Vec<u8>,
    held: Vec<Vec<u8>>,
    is_greeted: bool,
}

impl Meddler {
    /// Takes bytes in and answers what is to be passed on; `choose` is asked once a frame.
    pub fn pass(&mut self, bytes: &[u8], mut choose: impl FnMut() -> Meddling) -> Vec<u8> {
        self.partial.extend_from_slice(bytes);
        let mut out = Vec::with_capacity(self.partial.len());
        while let Some(frame) = self.next_frame() {
            let meddling = if self.is_greeted { choose() } else { Meddling::Pass };
            self.is_greeted = true;
            let is_full = self.held.len() >= HELD_MAX;
            let before = std::mem::take(&mut self.held);
            match meddling {
                Meddling::Pass => out.extend_from_slice(&frame),
                Meddling::Repeat => {
                    out.extend_from_slice(&frame);
                    self.held.push(frame);
                }
                Meddling::Hold if is_full => out.extend_from_slice(&frame),
                Meddling::Hold => {
                    // Those that were held before wait on, behind a frame that passes.
                    self.held = before;
                    self.held.push(frame);
                    continue;
                }
            }
            for held in &before {
                out.extend_from_slice(held);
            }
        }
        out
    }

    /// Whether some frame waits for the next one.
    pub fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// Passes on what waits, although no other frame has come.
    pub fn release(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held).concat()
    }

    fn next_frame(&mut self) -> Option<Vec<u8>> {
        let length = u32::from_be_bytes(*self.partial.first_chunk()?);
        let end = usize::try_from(length).ok()?.checked_add(4)?;
        if self.partial.len() < end {
            return None;
        }
        let rest = self.partial.split_off(end);
        Some(std::mem::replace(&mut self.partial, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::Meddling::{Hold, Pass, Repeat};
    use super::*;

    fn frames(contents: &[u8]) -> Vec<u8> {
        contents.iter().flat_map(|content| [0, 0, 0, 1, *content]).collect()
    }

    /// What comes out behind the greeting when frames 1, 2, … are meddled with so.
    fn passed(meddlings: &[Meddling]) -> Vec<u8> {
        let mut meddler = Meddler::default();
        assert_eq!(meddler.pass(&frames(&[0]), || Hold), frames(&[0]), "a greeting passes");
        let mut next = meddlings.iter().copied();
        let all: Vec<u8> = (1..).take(meddlings.len()).collect();
        meddler.pass(&frames(&all), || next.next().unwrap())
    }

    #[test]
    fn frames_pass_twice_or_behind_the_next_one() {
        assert_eq!(passed(&[Pass, Pass]), frames(&[1, 2]));
        assert_eq!(passed(&[Hold, Pass, Pass]), frames(&[2, 1, 3]));
        assert_eq!(passed(&[Repeat, Pass]), frames(&[1, 2, 1]));
        assert_eq!(passed(&[Hold, Hold, Pass]), frames(&[3, 1, 2]));
        assert_eq!(passed(&[Repeat, Repeat, Pass]), frames(&[1, 2, 1, 3, 2]));
    }

    #[test]
    fn no_more_than_a_few_are_held() {
        let held = [Hold; HELD_MAX + 1];
        let order: Vec<u8> = [9].into_iter().chain(1..=8).collect();
        assert_eq!(passed(&held), frames(&order));
    }

    #[test]
    fn what_is_held_is_passed_on_when_nothing_else_comes() {
        let mut meddler = Meddler::default();
        meddler.pass(&frames(&[0]), || Pass);
        assert_eq!(meddler.pass(&frames(&[1]), || Hold), [0; 0]);
        assert!(meddler.is_holding());
        assert_eq!(meddler.release(), frames(&[1]));
        assert!(!meddler.is_holding());
    }

    #[test]
    fn a_frame_that_comes_in_pieces_is_one() {
        let mut meddler = Meddler::default();
        let whole = frames(&[1, 2]);
        let mut out = Vec::new();
        for byte in &whole {
            out.extend(meddler.pass(&[*byte], || Pass));
        }
        assert_eq!(out, whole);
    }
}
