//! Scripts cut into statements.
//!
//! A statement ends at a semicolon outside quotations and comments; a batch, which holds semicolons of
//! its own, ends at the one after `APPLY BATCH`. Callers: the shell, for what it reads from people,
//! files and its command line.

use crate::Position;
use crate::scan::{Piece, PieceKind, pieces};

/// A script in statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split<'a> {
    /// The statements that have their semicolon.
    pub statements: Vec<Fragment<'a>>,
    /// What comes after the last semicolon, if it is more than space and comments.
    pub rest: Option<Rest<'a>>,
}

/// One statement of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment<'a> {
    /// The statement without its semicolon, from its first word to its last.
    pub text: &'a str,
    /// Where it begins in the script.
    pub position: Position,
}

/// The end of a script that has no semicolon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rest<'a> {
    /// The text, from its first word to the end of the script.
    pub text: &'a str,
    /// Where it begins in the script.
    pub position: Position,
    /// What must be closed before the statement can end.
    pub open: Open,
}

/// What a text that was broken off stands inside of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// A statement: a semicolon ends it.
    Statement,
    /// A batch: `APPLY BATCH;` ends it.
    Batch,
    /// `'…`.
    Text,
    /// `"…`.
    Name,
    /// `$$…`.
    Dollar,
    /// `/*…`.
    Comment,
}

/// Cuts a script into its statements.
pub fn split(script: &str) -> Split<'_> {
    let mut statements = Vec::new();
    let mut current = Current::default();
    let mut at = 0;
    let mut open = Open::Statement;
    for piece in pieces(script) {
        if !piece.is_closed {
            open = opened_by(piece.kind);
        }
        if piece.kind != PieceKind::Semicolon || current.needs_more() {
            current.take(piece, at);
        } else if let Some(fragment) = std::mem::take(&mut current).fragment(script) {
            statements.push(fragment);
        }
        at += piece.text.len();
    }
    if open == Open::Statement && current.needs_more() {
        open = Open::Batch;
    }
    let begin = current.begin.or_else(|| {
        // A comment that is open after the last statement is all that there is to say.
        let last = pieces(script).last().filter(|_| open == Open::Comment)?;
        Some((script.len() - last.text.len(), last.at))
    });
    let rest = begin.map(|(begin, position)| Rest { text: &script[begin..], position, open });
    Split { statements, rest }
}

fn opened_by(kind: PieceKind) -> Open {
    match kind {
        PieceKind::Text => Open::Text,
        PieceKind::Name => Open::Name,
        PieceKind::Dollar => Open::Dollar,
        PieceKind::Comment => Open::Comment,
        _ => Open::Statement,
    }
}

/// The statement whose end is looked for.
#[derive(Default)]
struct Current<'a> {
    begin: Option<(usize, Position)>,
    end: usize,
    /// The first three words.
    first: Vec<&'a str>,
    /// The two last words.
    last: [&'a str; 2],
}

impl<'a> Current<'a> {
    fn take(&mut self, piece: Piece<'a>, at: usize) {
        if matches!(piece.kind, PieceKind::Space | PieceKind::Comment) {
            return;
        }
        self.begin.get_or_insert((at, piece.at));
        self.end = at + piece.text.len();
        if piece.kind != PieceKind::Code {
            self.last = [self.last[1], ""];
            return;
        }
        for word in piece.text.split_inclusive(|char: char| !char.is_ascii_alphanumeric()) {
            if self.first.len() < 3 {
                self.first.push(word);
            }
            self.last = [self.last[1], word];
        }
    }

    /// Whether the statement is a batch that has not come to its end.
    fn needs_more(&self) -> bool {
        let is = |word: Option<&&str>, wanted: &str| {
            word.is_some_and(|word| word.eq_ignore_ascii_case(wanted))
        };
        let first = |place: usize, wanted| is(self.first.get(place), wanted);
        let has_kind = ["LOGGED", "UNLOGGED", "COUNTER"].iter().any(|kind| first(1, kind));
        let kind = usize::from(has_kind);
        let is_batch = first(0, "BEGIN") && first(1 + kind, "BATCH");
        let is_ended = is(self.last.first(), "APPLY") && is(self.last.get(1), "BATCH");
        is_batch && !is_ended
    }

    fn fragment(self, script: &'a str) -> Option<Fragment<'a>> {
        let (begin, position) = self.begin?;
        Some(Fragment { text: &script[begin..self.end], position })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(script: &str) -> Vec<&str> {
        split(script).statements.iter().map(|fragment| fragment.text).collect()
    }

    fn open(script: &str) -> Option<Open> {
        split(script).rest.map(|rest| rest.open)
    }

    #[test]
    fn semicolons_end_statements_outside_quotations_and_comments() {
        let script = "USE a; -- one; two\n INSERT 'x;''y' \"b;\" $$;$$ /*;*/ z //;\n ;;SELECT 1 ; ";
        assert_eq!(texts(script), ["USE a", "INSERT 'x;''y' \"b;\" $$;$$ /*;*/ z", "SELECT 1"]);
        assert_eq!(open(script), None);
    }

    #[test]
    fn positions_are_those_of_the_first_words() {
        let fragments = split("USE a;\n  -- é\n  USE b; USE c;").statements;
        let positions: Vec<_> = fragments.iter().map(|it| it.position.to_string()).collect();
        assert_eq!(positions, ["1:1", "3:3", "3:10"]);
    }

    #[test]
    fn batches_are_one_statement() {
        let batch = "BEGIN BATCH INSERT 'APPLY BATCH'; DELETE x; APPLY BATCH";
        assert_eq!(texts(&format!("{batch}; USE a;")), [batch, "USE a"]);
        let counter = "begin unlogged batch update x; apply /* now */ batch";
        assert_eq!(texts(&format!("{counter};")), [counter]);
        let logged = "BEGIN LOGGED BATCH USING TIMESTAMP 1 DELETE x; ; APPLY BATCH";
        assert_eq!(texts(&format!("{logged};TRUNCATE x;")), [logged, "TRUNCATE x"]);
        assert_eq!(open("BEGIN COUNTER BATCH UPDATE x;"), Some(Open::Batch));
        assert_eq!(texts("BEGIN TRANSACTION; USE a;"), ["BEGIN TRANSACTION", "USE a"]);
    }

    #[test]
    fn a_broken_off_text_tells_what_it_stands_in() {
        for (script, wanted) in [
            ("", None),
            (" -- a", None),
            ("USE a; // b", None),
            ("USE a; SELECT", Some(Open::Statement)),
            ("INSERT 'a;", Some(Open::Text)),
            ("INSERT \"a;", Some(Open::Name)),
            ("INSERT $$a;", Some(Open::Dollar)),
            ("INSERT /* a;", Some(Open::Comment)),
            ("/* a;", Some(Open::Comment)),
            ("BEGIN BATCH USE a; APPLY BATCH", Some(Open::Statement)),
        ] {
            assert_eq!(open(script), wanted, "{script}");
        }
        let rest = split("USE a;\n SELECT 1 ").rest.unwrap();
        assert_eq!((rest.text, rest.position.to_string()), ("SELECT 1 ", "2:2".to_owned()));
    }

    proptest! {
        #[test]
        fn cutting_a_cut_statement_changes_nothing(script in "[a-c ;'\"$/*\n-]{0,40}") {
            for fragment in split(&script).statements {
                let again = format!("{};", fragment.text);
                prop_assert_eq!(texts(&again), [fragment.text]);
            }
        }
    }
}
