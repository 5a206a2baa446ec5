//! Compose's interpolation, parsed into pieces with their places in the text.
//!
//! What can't be parsed stays literal text: Compose refuses such a file, so that it never gets here.

use std::ops::Range;

/// A piece of a text with variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Text that stands for itself.
    Literal(Range<usize>),
    /// `$$`, which stands for `$`.
    Dollar,
    /// `$NAME`, `${NAME}` and their relatives.
    Variable {
        /// Its name.
        name: String,
        /// What happens where it is not set.
        otherwise: Otherwise,
    },
}

/// What stands for a variable that is not set, or (`empty`) set to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Otherwise {
    /// Nothing.
    Nothing,
    /// `${NAME?text}`: Compose refuses.
    Refuse,
    /// `${NAME-text}`, `${NAME:-text}`.
    Default { empty: bool, text: Range<usize> },
    /// `${NAME+text}`, `${NAME:+text}`: the text where it *is* set.
    Instead { empty: bool, text: Range<usize> },
}

/// The pieces of `text[range]`, with ranges of `text`.
pub fn parse(text: &str, range: Range<usize>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let (mut from, mut at) = (range.start, range.start);
    while let Some(dollar) = text[at..range.end].find('$') {
        let start = at + dollar;
        let Some((piece, end)) = variable(&text[..range.end], start + 1) else {
            at = start + 1;
            continue;
        };
        if from < start {
            pieces.push(Piece::Literal(from..start));
        }
        pieces.push(piece);
        (from, at) = (end, end);
    }
    if from < range.end {
        pieces.push(Piece::Literal(from..range.end));
    }
    pieces
}

/// What follows a dollar sign, and where it ends.
fn variable(text: &str, at: usize) -> Option<(Piece, usize)> {
    match text[at..].chars().next()? {
        '$' => Some((Piece::Dollar, at + 1)),
        '{' => braced(text, at + 1),
        _ => {
            let end = name_end(text, at)?;
            let name = text[at..end].to_owned();
            Some((Piece::Variable { name, otherwise: Otherwise::Nothing }, end))
        }
    }
}

fn braced(text: &str, at: usize) -> Option<(Piece, usize)> {
    let name_end = name_end(text, at)?;
    let close = closing(text, name_end)?;
    let inner = &text[name_end..close];
    let empty = inner.starts_with(':');
    let operator = name_end + usize::from(empty);
    let rest = operator + 1..close;
    let otherwise = match text[operator..close].chars().next() {
        None if !empty => Otherwise::Nothing,
        Some('?') => Otherwise::Refuse,
        Some('-') => Otherwise::Default { empty, text: rest },
        Some('+') => Otherwise::Instead { empty, text: rest },
        _ => return None,
    };
    Some((Piece::Variable { name: text[at..name_end].to_owned(), otherwise }, close + 1))
}

fn name_end(text: &str, at: usize) -> Option<usize> {
    let first = text[at..].chars().next()?;
    let in_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let length = text[at..].find(|c| !in_name(c)).unwrap_or(text.len() - at);
    (in_name(first) && !first.is_ascii_digit()).then_some(at + length)
}

/// The brace that closes the one before `at`; defaults may hold variables themselves.
fn closing(text: &str, at: usize) -> Option<usize> {
    let mut depth = 0;
    for (offset, byte) in text[at..].bytes().enumerate() {
        match byte {
            b'{' if text[..at + offset].ends_with('$') => depth += 1,
            b'}' if depth == 0 => return Some(at + offset),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}
