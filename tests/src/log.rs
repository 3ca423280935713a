//! What a node may log in a test: a warning or an error must be listed by the test that causes it.
//!
//! Pure: takes the text of a log.

/// What the living say when another node dies or comes back; for tests that kill.
pub const PEER_LOSS: &[&str] = &["is down", "unreachable", "connection", "cannot connect"];

/// What they say where a greeting was long under way, or waited in a node that was stopped: it looks
/// like a clock that is behind.
pub const LATE_GREETING: &[&str] = &["the clocks of two nodes differ"];

/// The warnings, errors and panics of a log that contain none of the listed phrases.
pub fn unlisted<'log>(log: &'log str, listed: &[&str]) -> Vec<&'log str> {
    log.lines()
        .filter(|line| is_alarm(line))
        .filter(|line| is_panic(line) || !listed.iter().any(|phrase| line.contains(phrase)))
        .collect()
}

/// The last lines of a log.
pub fn tail(log: &str, lines: usize) -> &str {
    let newline = log.trim_end().rmatch_indices('\n').nth(lines.saturating_sub(1));
    newline.map_or(log, |(at, _)| &log[at + 1..])
}

/// A line reads `TIME LEVEL target: message`.
fn is_alarm(line: &str) -> bool {
    matches!(line.split_whitespace().nth(1), Some("WARN" | "ERROR")) || is_panic(line)
}

fn is_panic(line: &str) -> bool {
    line.contains("panicked at")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
2026-11-20T16:10:34.100000Z  INFO starling_server::node: ready
2026-11-20T16:10:35.100000Z  WARN starling_server::upkeep::gossip: node 2 is down
2026-11-20T16:10:36.100000Z ERROR starling_server::store: disk full
";

    #[test]
    fn warnings_and_errors_must_be_listed() {
        assert_eq!(unlisted(LOG, &[]).len(), 2);
        assert_eq!(unlisted(LOG, &["is down"]).len(), 1);
        assert!(unlisted(LOG, &["is down", "disk full"]).is_empty());
    }

    #[test]
    fn an_informal_line_that_speaks_of_errors_is_no_alarm() {
        assert!(unlisted("2026-11-20T16:10:34Z INFO node: 0 ERROR lines", &[]).is_empty());
    }

    #[test]
    fn a_panic_cannot_be_listed() {
        let log = "thread 'main' panicked at server/src/node.rs:1:1:";
        assert_eq!(unlisted(log, &["panicked", "main"]), [log]);
    }

    #[test]
    fn a_tail_has_the_last_lines() {
        assert_eq!(tail("a\nb\nc\n", 1), "c\n");
        assert_eq!(tail("a\nb\nc\n", 2), "b\nc\n");
        assert_eq!(tail("a\nb\n", 9), "a\nb\n");
        assert_eq!(tail("", 3), "");
    }
}
